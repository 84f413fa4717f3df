/* Attention without a mask, multiplied in 8 bits (AVX-512 VNNI): one head a call, so that threads can share heads.
 *
 * Queries by keys: both in int8, a scale each per row, the keys less their mean, which adds the same to all scores of a
 * query and so drops out of the softmax (SageAttention, arXiv 2410.02367).
 * Weights by values: a weight is exp(score - largest) in 0 to 254, divided by the sum of the row only afterwards. So a
 * flat row over thousands of patches, each of whose weights is below half a step of 8 bits once normalized, keeps them.
 * What is small beside the largest is rounded up or down by a fixed sequence in proportion to its size (dithering), so
 * that a long tail of weights below half a step keeps its sum instead of vanishing.
 */

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16          /* floats, or dwords of four bytes, in a register */
#define QUERIES 6         /* computed together: 6 x 4 registers of sums, 4 of keys or values, 1 of a query */
#define KEYS (4 * LANES)  /* the keys of a block */
#define WIDTH 64          /* of a head, at the most; a multiple of LANES */
#define DITHER 1024       /* length of the sequence, a power of 2 */
#define LARGEST 254.0f    /* 255 less what the sequence and the polynomial may add */
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int64_t patches, padded; /* padded: to whole blocks of keys */
    int64_t row;             /* floats from one patch to the next */
    int64_t width;
} Shape;

typedef struct {
    uint8_t *keys;      /* block, four channels, key: (padded / KEYS, width / 4, KEYS, 4), plus 128 */
    float *key_scales;  /* (padded) */
    int8_t *values;     /* four keys, channel: (padded / 4, width, 4) */
    float value_means[WIDTH], value_scales[WIDTH];
    float *scores;      /* (QUERIES, padded) */
    uint8_t *weights;   /* (QUERIES, padded) */
    float dither[DITHER] __attribute__((aligned(64)));
} Workspace;

static void channel_means(const float *x, Shape shape, float *means) {
    for (int64_t c = 0; c < shape.width; c += LANES) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t p = 0; p < shape.patches; p++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + p * shape.row + c));
        _mm512_storeu_ps(means + c, _mm512_div_ps(sum, _mm512_set1_ps((float)shape.patches)));
    }
}

/* A row less its offsets in int8, symmetric about 0; its scale. */
INLINE float quantize_row(const float *x, const float *offsets, int64_t width, int8_t *out) {
    __m512 values[WIDTH / LANES], largest = _mm512_setzero_ps();
    for (int c = 0; c < width / LANES; c++) {
        values[c] = _mm512_sub_ps(_mm512_loadu_ps(x + c * LANES), _mm512_loadu_ps(offsets + c * LANES));
        largest = _mm512_max_ps(largest, _mm512_abs_ps(values[c]));
    }
    const float reach = _mm512_reduce_max_ps(largest);
    const __m512 inverse = _mm512_set1_ps(reach > 0 ? 127 / reach : 0);
    for (int c = 0; c < width / LANES; c++) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(values[c], inverse));
        _mm_storeu_si128((__m128i *)(out + c * LANES), _mm512_cvtsepi32_epi8(rounded));
    }
    return reach / 127;
}

/* Past the last patch its key stands again, where it cannot raise the largest score; its weight is set to 0. */
static void pack_keys(const float *k, Shape shape, Workspace *work) {
    float means[WIDTH];
    int8_t row[WIDTH];
    channel_means(k, shape, means);
    for (int64_t p = 0; p < shape.padded; p++) {
        const int64_t patch = p < shape.patches ? p : shape.patches - 1;
        work->key_scales[p] = quantize_row(k + patch * shape.row, means, shape.width, row);
        uint8_t *block = work->keys + p / KEYS * KEYS * shape.width;
        for (int64_t c = 0; c < shape.width; c += 4) {
            uint32_t four;
            memcpy(&four, row + c, 4);
            four ^= 0x80808080u; /* plus 128 each: the instruction takes one side unsigned */
            memcpy(block + c * KEYS + p % KEYS * 4, &four, 4);
        }
    }
}

/* Values less their mean, which is added to the result: the weights of a row sum to 1. */
static void pack_values(const float *v, Shape shape, Workspace *work) {
    channel_means(v, shape, work->value_means);
    for (int64_t c = 0; c < shape.width; c += LANES) {
        const __m512 mean = _mm512_loadu_ps(work->value_means + c);
        __m512 largest = _mm512_setzero_ps();
        for (int64_t p = 0; p < shape.patches; p++) {
            const __m512 value = _mm512_loadu_ps(v + p * shape.row + c);
            largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_sub_ps(value, mean)));
        }
        const __mmask16 reaches = _mm512_cmp_ps_mask(largest, _mm512_setzero_ps(), _CMP_GT_OQ);
        const __m512 inverse = _mm512_maskz_div_ps(reaches, _mm512_set1_ps(127), largest);
        _mm512_storeu_ps(work->value_scales + c, _mm512_div_ps(largest, _mm512_set1_ps(127)));
        for (int64_t p = 0; p < shape.padded; p += 4) {
            __m512i four = _mm512_setzero_si512();
            for (int64_t i = 0; i < 4 && p + i < shape.patches; i++) {
                const __m512 value = _mm512_sub_ps(_mm512_loadu_ps(v + (p + i) * shape.row + c), mean);
                const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(value, inverse));
                const __m512i byte = _mm512_and_si512(rounded, _mm512_set1_epi32(255));
                four = _mm512_or_si512(four, _mm512_sll_epi32(byte, _mm_cvtsi64_si128(8 * i)));
            }
            _mm512_store_si512(work->values + p * shape.width + c * 4, four);
        }
    }
}

/* Scores of QUERIES queries with all keys, still to be multiplied by a query's own scale. */
INLINE void score(const int8_t *queries, Shape shape, Workspace *work) {
    int32_t shifts[QUERIES]; /* takes the 128 of the keys out again */
    for (int q = 0; q < QUERIES; q++) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t c = 0; c < shape.width; c += LANES) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(queries + q * WIDTH + c));
            sum = _mm512_add_epi32(sum, _mm512_cvtepi8_epi32(bytes));
        }
        shifts[q] = -128 * _mm512_reduce_add_epi32(sum);
    }
    for (int64_t key = 0; key < shape.padded; key += KEYS) {
        const uint8_t *block = work->keys + key * shape.width;
        __m512i sums[QUERIES][4];
        for (int q = 0; q < QUERIES; q++)
            for (int r = 0; r < 4; r++) sums[q][r] = _mm512_set1_epi32(shifts[q]);
        for (int64_t c = 0; c < shape.width; c += 4) {
            __m512i keys[4];
            for (int r = 0; r < 4; r++) keys[r] = _mm512_load_si512(block + c * KEYS + r * 4 * LANES);
            for (int q = 0; q < QUERIES; q++) {
                int32_t four;
                memcpy(&four, queries + q * WIDTH + c, 4);
                const __m512i query = _mm512_set1_epi32(four);
                for (int r = 0; r < 4; r++) sums[q][r] = _mm512_dpbusd_epi32(sums[q][r], keys[r], query);
            }
        }
        for (int q = 0; q < QUERIES; q++)
            for (int r = 0; r < 4; r++) {
                const __m512 scales = _mm512_load_ps(work->key_scales + key + r * LANES);
                _mm512_store_ps(work->scores + q * shape.padded + key + r * LANES,
                                _mm512_mul_ps(_mm512_cvtepi32_ps(sums[q][r]), scales));
            }
    }
}

/* LARGEST * exp(scale * (score - largest)) of one query in whole numbers, 0 past the last patch; their sum.
 * 2^f for f in [0, 1) is a quadratic with a relative error below 0.0018, half a step of 8 bits. */
INLINE int32_t soften(int64_t query, int q, float scale, Shape shape, Workspace *work) {
    const float *scores = work->scores + q * shape.padded;
    uint8_t *weights = work->weights + q * shape.padded;
    __m512 largest = _mm512_set1_ps(-INFINITY);
    for (int64_t key = 0; key < shape.padded; key += LANES)
        largest = _mm512_max_ps(largest, _mm512_load_ps(scores + key));
    const __m512 slope = _mm512_set1_ps(scale * 1.4426950408889634f);
    const __m512 top = _mm512_mul_ps(_mm512_set1_ps(_mm512_reduce_max_ps(largest)), slope);
    const __m512 p0 = _mm512_set1_ps(LARGEST * 1.0017247f), p1 = _mm512_set1_ps(LARGEST * 0.6576363f);
    const __m512 p2 = _mm512_set1_ps(LARGEST * 0.3371894f);
    const int64_t whole = shape.patches / LANES * LANES;
    __m512i sum = _mm512_setzero_si512();
    for (int64_t key = 0; key < shape.patches; key += LANES) {
        const __m512 power = _mm512_fmsub_ps(_mm512_load_ps(scores + key), slope, top);
        const __m512 fraction = _mm512_reduce_ps(power, _MM_FROUND_TO_NEG_INF);
        const __m512 mantissa = _mm512_fmadd_ps(_mm512_fmadd_ps(p2, fraction, p1), fraction, p0);
        /* Each query starts the sequence elsewhere, so that no patch is favoured by all. */
        const __m512 dither = _mm512_load_ps(work->dither + ((key + query * LANES) & (DITHER - 1)));
        __m512i weight = _mm512_cvttps_epi32(_mm512_add_ps(_mm512_scalef_ps(mantissa, power), dither));
        if (key == whole) weight = _mm512_maskz_mov_epi32((__mmask16)((1u << (shape.patches - whole)) - 1), weight);
        sum = _mm512_add_epi32(sum, weight);
        _mm_store_si128((__m128i *)(weights + key), _mm512_cvtepi32_epi8(weight));
    }
    return _mm512_reduce_add_epi32(sum);
}

/* Values by weights for QUERIES queries, (QUERIES, registers * LANES); `registers` is a constant once inlined. */
INLINE void weigh(int registers, Shape shape, const Workspace *work, int32_t *out) {
    __m512i sums[QUERIES][WIDTH / LANES];
    for (int q = 0; q < QUERIES; q++)
        for (int r = 0; r < registers; r++) sums[q][r] = _mm512_setzero_si512();
    for (int64_t key = 0; key < shape.patches; key += 4) { /* past the last patch up to a multiple of LANES, 0 */
        __m512i values[WIDTH / LANES];
        for (int r = 0; r < registers; r++)
            values[r] = _mm512_load_si512(work->values + (key * registers + r * 4) * LANES);
        for (int q = 0; q < QUERIES; q++) {
            int32_t four;
            memcpy(&four, work->weights + q * shape.padded + key, 4);
            const __m512i weights = _mm512_set1_epi32(four);
            for (int r = 0; r < registers; r++) sums[q][r] = _mm512_dpbusd_epi32(sums[q][r], weights, values[r]);
        }
    }
    for (int q = 0; q < QUERIES; q++)
        for (int r = 0; r < registers; r++) _mm512_storeu_si512(out + (q * registers + r) * LANES, sums[q][r]);
}

static void weigh_width(Shape shape, const Workspace *work, int32_t *out) {
    switch (shape.width / LANES) {
    case 1: weigh(1, shape, work, out); break;
    case 2: weigh(2, shape, work, out); break;
    case 3: weigh(3, shape, work, out); break;
    default: weigh(4, shape, work, out);
    }
}

static void attend_queries(const float *q, float *out, int64_t first, float scale, Shape shape, Workspace *work) {
    static const float nothing[WIDTH] = {0};
    const int64_t count = shape.patches - first < QUERIES ? shape.patches - first : QUERIES;
    int8_t queries[QUERIES * WIDTH] = {0};
    float scales[QUERIES];
    int32_t sums[QUERIES * WIDTH];
    for (int i = 0; i < count; i++)
        scales[i] = scale * quantize_row(q + (first + i) * shape.row, nothing, shape.width, queries + i * WIDTH);
    score(queries, shape, work);
    float totals[QUERIES];
    for (int i = 0; i < count; i++) totals[i] = (float)soften(first + i, i, scales[i], shape, work);
    weigh_width(shape, work, sums);
    for (int i = 0; i < count; i++)
        for (int64_t c = 0; c < shape.width; c += LANES) {
            const __m512 factor = _mm512_div_ps(_mm512_loadu_ps(work->value_scales + c), _mm512_set1_ps(totals[i]));
            const __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + i * shape.width + c));
            const __m512 mean = _mm512_loadu_ps(work->value_means + c);
            _mm512_storeu_ps(out + (first + i) * shape.row + c, _mm512_fmadd_ps(sum, factor, mean));
        }
}

/* out = softmax(scale * q * k^T) * v of one head; all are (patches, heads * width), rows `row` floats apart.
 * 0, or -1 if there is no memory. The caller sees to sizes: width 16, 32, 48 or 64, patches 1 to 65536. */
int attend(const float *q, const float *k, const float *v, float *out, int64_t patches, int64_t row, int64_t width,
           int64_t head, float scale) {
    const Shape shape = {patches, (patches + KEYS - 1) / KEYS * KEYS, row, width};
    const size_t packed = (size_t)(shape.padded * width), line = (size_t)shape.padded;
    Workspace work;
    char *memory = aligned_alloc(64, 2 * packed + line * (4 + QUERIES * 5));
    if (!memory) return -1;
    work.keys = (uint8_t *)memory;
    work.values = (int8_t *)(memory + packed);
    work.key_scales = (float *)(memory + 2 * packed);
    work.scores = work.key_scales + line;
    work.weights = (uint8_t *)(work.scores + QUERIES * line);
    memset(work.weights, 0, QUERIES * line);
    for (uint32_t i = 0; i < DITHER; i++) work.dither[i] = (float)(i * 2654435769u >> 8) * 0x1p-24f; /* golden ratio */
    pack_keys(k + head * width, shape, &work);
    pack_values(v + head * width, shape, &work);
    for (int64_t first = 0; first < patches; first += QUERIES)
        attend_queries(q + head * width, out + head * width, first, scale, shape, &work);
    free(memory);
    return 0;
}
