"""Header and patches against transformers' processor, the oracle, with the same font and image."""

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont
from transformers.image_utils import SizeDict
from transformers.models.pix2struct import image_processing_pil_pix2struct
from transformers.models.pix2struct.image_processing_pil_pix2struct import Pix2StructImageProcessorPil

from services.matcha.header import HeaderTooLargeError, render_header, render_text
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats, flatten_patches, grid_shape, mean_and_deviation, pad_patches

FONT = Path(mpl.__file__).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
SIZES = [(320, 240), (701, 500), (60, 150), (600, 30), (7, 3), (1, 1), (40, 90)]
QUESTIONS = {
    "empty": "",
    "short": "What is the title?",
    "long": "Which of the categories shown has the highest value of all in the year 2019, and why? " * 4,
    "lines": "first line\nsecond line\n\n   indented   and   spaced",
    "one long word": "x" * 200,
    "unicode": "Сколько столбцов? 图表中有多少条? ¿Cuántas? é ﬁ 👀",
}
MUCH = 100
ROUNDING = 1e-3
"""Of values with standard deviation 1, so 1/60 of one step of 8-bit pixels: float32 sums in another order."""


pytestmark = pytest.mark.usefixtures("basic_text_layout")


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def oracle(image: Image.Image, question: str, max_patches: int) -> tuple[Floats, Floats]:
    processor = Pix2StructImageProcessorPil(is_vqa=True)
    pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    with_header = processor.render_header(pixels, question, font_path=str(FONT))
    size = SizeDict(height=16, width=16)
    batch = processor._preprocess(  # noqa: SLF001 the public way fetches a font from the hub
        [with_header], do_normalize=True, max_patches=max_patches, patch_size=size, return_tensors=None
    )
    return batch["flattened_patches"][0], batch["attention_mask"][0]


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(question, id=name, marks=pytest.mark.slow if len(question) > MUCH else [])  # wide, so large
        for name, question in QUESTIONS.items()
    ],
)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equal_to_the_processor_of_transformers(size: tuple[int, int], question: str) -> None:
    image = noise(size)
    for max_patches in (1, 169, 768):
        patches = flatten_patches(render_header(image, question, load_font(FONT)), max_patches)
        expected, mask = oracle(image, question, max_patches)
        assert len(patches) == int(mask.sum()) <= max_patches
        assert np.abs(patches - expected[: len(patches)]).max() < ROUNDING
        assert not expected[len(patches) :].any()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
def test_a_header_is_drawn_as_transformers_draws_it(question: str) -> None:
    expected = image_processing_pil_pix2struct.render_text(question, font_path=str(FONT))
    assert render_text(question, load_font(FONT)) == expected


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
def test_equal_in_every_mode_of_an_image(mode: str) -> None:
    image = noise((120, 90)).convert(mode)
    patches = flatten_patches(render_header(image, "Which?", load_font(FONT)), 200)
    assert np.abs(patches - oracle(image, "Which?", 200)[0][: len(patches)]).max() < ROUNDING


def test_a_plain_image_stays_finite() -> None:
    patches = flatten_patches(Image.new("RGB", (64, 64), "white"), 16)
    assert np.isfinite(patches).all()
    assert not patches[:, 2:].any()


def test_rows_and_columns_are_counted_from_one() -> None:
    patches = flatten_patches(noise((32, 48)), 6)
    assert patches[:, :2].tolist() == [[row, column] for row in (1, 2, 3) for column in (1, 2)]
    assert patches.dtype == np.float32  # what the runtimes take


def test_each_patch_holds_the_pixels_of_its_place() -> None:
    image = noise((32, 48))  # exactly as many pixels as 3 rows of 2 patches: nothing is scaled
    values = np.asarray(image, dtype=np.float64)
    values = (values - values.mean()) / values.std()
    for row, column, *patch in flatten_patches(image, 6).tolist():
        top, left = 16 * (int(row) - 1), 16 * (int(column) - 1)
        expected = values[top : top + 16, left : left + 16].ravel()  # height, width, channel
        assert np.abs(np.array(patch) - expected).max() < ROUNDING


def test_shorter_images_are_padded_with_zero_rows() -> None:
    short, long = flatten_patches(noise((32, 32)), 4), flatten_patches(noise((32, 48)), 6)
    stacked, mask = pad_patches([short, long, short[:1]])
    assert stacked.shape == (3, 6, 770)
    assert stacked.dtype == mask.dtype == np.float32
    assert mask.tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0]]
    assert not stacked[mask == 0].any()
    assert np.array_equal(stacked[mask == 1], np.concatenate([short, long, short[:1]]))


@pytest.mark.parametrize("size", [(1, 20_000), (5000, 12_799)], ids=["narrower than the question", "wider"])
def test_an_image_that_would_explode_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(HeaderTooLargeError, match=f"an image of {size[0]} x {size[1]} pixels under a header of"):
        render_header(Image.new("1", size), "a question as wide as a chart", load_font(FONT))


@pytest.mark.parametrize("size", [(30, 50), (500, 21)], ids=["narrower than the question", "wider"])
def test_header_and_chart_together_may_have_as_many_pixels_as_the_bound(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = render_header(noise(size), "Which one?", load_font(FONT))
    monkeypatch.setattr("services.matcha.header.MAX_PIXELS", whole.width * whole.height)
    assert render_header(noise(size), "Which one?", load_font(FONT)) == whole
    monkeypatch.setattr("services.matcha.header.MAX_PIXELS", whole.width * whole.height - 1)
    with pytest.raises(HeaderTooLargeError, match=f"would be scaled to {whole.width} x {whole.height}: "):
        render_header(noise(size), "Which one?", load_font(FONT))


def test_a_line_has_at_most_80_characters() -> None:
    def lines(text: str) -> int:
        one, two = (render_text(each, load_font(FONT)).height for each in ("x", "x" * 81))
        return 1 + round((render_text(text, load_font(FONT)).height - one) / (two - one))

    assert [lines("x" * n) for n in (79, 80, 81, 160, 161)] == [1, 1, 2, 2, 3]
    assert lines(f"{'x' * 39} {'y' * 40}") == 1
    assert lines(f"{'x' * 40} {'y' * 40}") == 2


@pytest.mark.parametrize("wanted", [0, -1])
def test_no_patches_are_none(wanted: int) -> None:
    with pytest.raises(ValueError, match=f"max_patches is {wanted}, must be at least 1"):
        flatten_patches(noise((32, 32)), wanted)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 4096))
def test_the_grid_is_the_largest_of_the_images_aspect_that_fits(width: int, height: int, most: int) -> None:
    rows, columns = grid_shape(width, height, most)
    assert rows >= 1
    assert columns >= 1
    assert rows * columns <= most
    for count, (side, other) in ((rows, (height, width)), (columns, (width, height))):
        exact = max(min(math.isqrt(most * side // other), most), 1)
        # a root that is whole may come out just below itself in floating point, in transformers too
        is_whole = most * side == exact**2 * other
        assert count == exact or (is_whole and count == exact - 1)
    assert grid_shape(height, width, most) == (columns, rows)
    if min(rows, columns) > 1:  # no side was raised to 1, so the aspect ratio is kept to within a patch
        assert rows / (columns + 1) < height / width < (rows + 1) / columns


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31))
def test_mean_and_deviation_are_those_of_all_values(width: int, height: int, low: int, high: int, seed: int) -> None:
    bounds = sorted((low, high))
    pixels = np.random.default_rng(seed).integers(bounds[0], bounds[1] + 1, (height, width, 3), dtype=np.uint8)
    mean, deviation = mean_and_deviation(Image.fromarray(pixels))
    assert mean == pytest.approx(pixels.mean())
    assert deviation == pytest.approx(max(pixels.std(), (width * height * 3) ** -0.5))


def test_the_font_inside_pillow_stands_in() -> None:
    drawn = np.asarray(render_text("What is the title?", load_font(None)))
    assert drawn.shape[0] > 30
    assert (drawn < 128).any()


@pytest.mark.parametrize("font", [None, FONT], ids=["pillow", "file"])
def test_pixels_do_not_depend_on_the_layout_engines_of_the_machine(
    font: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for has_raqm in (False, True):
        monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", has_raqm)
        load_font.cache_clear()
        drawn.append(np.asarray(render_text("Title of the y axis? AVAToyo", load_font(font))))
    assert np.array_equal(drawn[0], drawn[1])
