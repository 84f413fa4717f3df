"""Time saved and memory used by the prefix cache."""

import gc
import itertools
import sys
from collections.abc import Iterator

import psutil
from rich.progress import track

from benchmarks.measurements import Measurement
from benchmarks.quiet import calm_tries
from benchmarks.qwen_vl.asking import TEXTS, noise, question, seconds, told
from services.qwen_vl.engine import VisionQA
from services.qwen_vl.model.prefix_cache import PrefixCache, give_back

_MB = 1_000_000


def reuse_measurements(engine: VisionQA, pairs: int, patience_s: float) -> Iterator[Measurement]:
    """Time the first and the second question about an image, in turns."""
    numbers = itertools.count(100)

    def pair() -> tuple[float, float]:
        about = noise(next(numbers))
        first = seconds(lambda: engine.answer(question(about, TEXTS[0])))
        return first, seconds(lambda: engine.answer(question(about, TEXTS[1])))

    tries = calm_tries(pair, pairs, patience_s)
    how = told(tries, "pairs on one image")
    yield Measurement.median("first question on an image", [first for first, _ in tries.values], "s", how)
    yield Measurement.median("second question on an image", [second for _, second in tries.values], "s", how)
    ratios = [first / second for first, second in tries.values]
    yield Measurement.median("second question faster than the first", ratios, "times", how, at_least=8)


def memory_measurements(engine: VisionQA, images: int, bound_mb: int) -> Iterator[Measurement]:
    """Resident memory that different images add to the peak of answering without a cache."""
    process = psutil.Process()
    engine.cache = PrefixCache(0)
    without = []
    for number in range(4):
        engine.answer(question(noise(200 + number), tokens=1))
        give_back()  # as the engine does when it caches a prompt
        gc.collect()
        without.append(process.memory_info().rss)
    before = max(without)
    engine.cache = PrefixCache(bound_mb * _MB)
    added = []
    for number in track(range(images), f"{images} images", transient=True, disable=not sys.stdout.isatty()):
        engine.answer(question(noise(300 + number), tokens=1))
        gc.collect()
        added.append((process.memory_info().rss - before) / _MB)
    how = "make bench-qwen-vl: resident memory after each image, less the most after four without a cache"
    name = f"memory that {images} images add under a bound of {bound_mb} MB"
    most = Measurement.median(name, [max(added)], "MB", how, at_most=1.1 * bound_mb)
    yield most.model_copy(update={"n": images, "low": min(added)})
    yield Measurement.median("bytes that the cache counts itself", [engine.cache.nbytes / _MB], "MB", how)
