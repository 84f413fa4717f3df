"""Throughput of a batch compared with answering one by one, at full size."""

import time

from benchmarks.matcha import service, speed
from benchmarks.matcha.speed import HOW, Place
from benchmarks.matcha.subjects.own import QUESTION
from benchmarks.matcha.subjects.peer import TOKENS
from benchmarks.measurements import Measurement
from services.matcha.engine import ChartQA
from services.matcha.types import ChartAnswer, ChartQuestion
from services.matcha.variants import VariantName

_TOGETHER = 4
_MAX_PATCHES = 768
"""Few enough that decoding, the only part that a batch speeds up, dominates."""


def batch_measurement(place: Place, variant: VariantName, pairs: int) -> Measurement:
    """Throughput of a batch relative to the same questions one by one, measured in turns."""
    engine = service.engine_like(speed.variant_folder(place, variant), variant, place.threads)
    question = ChartQuestion(speed.chart(place).read_bytes(), QUESTION, TOKENS, _MAX_PATCHES)
    one_by_one, together = [[question]] * _TOGETHER, [[question] * _TOGETHER]
    _seconds(engine, together)  # the first run of a shape allocates memory
    ratios = [_seconds(engine, one_by_one) / _seconds(engine, together) for _ in range(pairs)]
    name = f"{variant}: throughput of a batch of {_TOGETHER} against one by one at {_MAX_PATCHES} patches"
    return Measurement.median(name, ratios, "times", HOW)


def _seconds(engine: ChartQA, batches: list[list[ChartQuestion]]) -> float:
    started_s = time.perf_counter()
    for batch in batches:
        for answer in engine.answer(batch):
            if not isinstance(answer, ChartAnswer):
                raise answer
    return time.perf_counter() - started_s
