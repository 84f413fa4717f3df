"""Agreement of each variant with fp32 on the embedded model's held-out charts, and its cost."""

import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from benchmarks.matcha import service
from benchmarks.measurements import Measurement
from benchmarks.serving import serving
from services.common.artifact.source import find
from services.common.settings import MODELS
from services.matcha.prepare.build import WANTED, Extras, build
from services.matcha.types import ChartAnswer, ChartQuestion
from services.matcha.variants import VARIANTS, VariantName
from services.training.tiny_matcha.data.held_out import Asked, held_out

HOW = "make variants"
_MIB = 1 << 20
_MAX_PATCHES, _MAX_TOKENS = 90, 16
_CALIBRATION_SEED = 1  # charts outside the test questions
_HELD_TO: frozenset[VariantName] = frozenset({"onnx-int8", "openvino", "openvino-int8"})


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one variant."""

    right: np.ndarray[tuple[int], np.dtype[np.bool_]]
    answers: list[str]
    latency_ms: list[float]
    size_mib: float
    memory_mib: float
    ready_s: float


@dataclass(frozen=True, slots=True)
class ParityReport:
    """The table to print and the measurements to write."""

    table: Table
    measurements: list[Measurement]


def compare(per_kind: int, threads: int, console: Console) -> ParityReport:
    """Prepare, run and serve all variants in turn."""
    asked = list(held_out(seed=0, per_kind=per_kind))
    table = Table(title=f"Embedded MatCha, {len(asked)} held-out questions, {threads} threads")
    for heading in ("variant", "equal answers", "EM", "EM less fp32's", "on disk", "resident", "ready", "p50", "p95"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    found: dict[VariantName, Measured] = {}
    results: list[Measurement] = []
    with tempfile.TemporaryDirectory() as scratch:
        for variant in VARIANTS:
            console.print(f"{variant} ...", highlight=False)
            found[variant] = _measure(variant, _artifact(Path(scratch), variant), asked, threads)
            results += add(table, variant, found[variant], found["fp32"])
    return ParityReport(table, results)


def _artifact(scratch: Path, variant: VariantName) -> Path:
    form = VARIANTS[variant].forms[0]
    folder, charts = scratch / form, scratch / "charts"
    if not charts.exists():
        charts.mkdir()
        for index, item in enumerate(held_out(seed=_CALIBRATION_SEED, per_kind=2)):
            item.image.save(charts / f"{index}.png")
    if not folder.exists():
        build(find(str(MODELS / "tiny-matcha"), None, WANTED), form, folder, Extras(calibration=charts), lambda _: None)
    return folder


def _measure(variant: VariantName, folder: Path, asked: list[Asked], threads: int) -> Measured:
    engine = service.engine_like(folder, variant, threads)
    answers, latency_ms = [], []
    for item in asked:
        question = ChartQuestion(_png(item.image), item.question, _MAX_TOKENS, _MAX_PATCHES)
        started_s = time.perf_counter()
        (answer,) = engine.answer([question])
        latency_ms.append((time.perf_counter() - started_s) * 1000)
        if not isinstance(answer, ChartAnswer):
            raise answer
        answers.append(answer.text)
    del engine
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving("matcha", folder, variant, threads, "--force-bf16") as served,
    ):
        chart = Path(scratch) / "chart.png"
        asked[0].image.save(chart)
        service.post(served.http, chart, asked[0].question, _MAX_PATCHES, _MAX_TOKENS)
        memory, ready_s = served.peak_bytes() / _MIB, served.ready_s
    size = sum(path.stat().st_size for path in folder.iterdir()) / _MIB
    right = np.array([answer == item.answer for answer, item in zip(answers, asked, strict=True)])
    return Measured(right, answers, latency_ms, size, memory, ready_s)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def add(table: Table, variant: VariantName, measured: Measured, reference: Measured) -> list[Measurement]:
    """Add a row and return its measurements; the confidence interval is of the paired differences per question."""
    equal = [100.0 * (one == other) for one, other in zip(measured.answers, reference.answers, strict=True)]
    difference = 100 * (measured.right.astype(float) - reference.right)
    share, shift = float(np.mean(equal)), float(difference.mean())
    low, high = shift, shift
    if difference.any():
        interval = bootstrap((difference,), np.mean, method="percentile", rng=np.random.default_rng(0))
        low, high = (float(end) for end in interval.confidence_interval)
    p95 = float(np.percentile(measured.latency_ms, 95))
    table.add_row(
        variant,
        f"{share:.1f} %",
        f"{100 * measured.right.mean():.1f} %",
        f"{shift:+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{measured.size_mib:.1f} MiB",
        f"{measured.memory_mib:.0f} MiB",
        f"{measured.ready_s:.1f} s",
        f"{median(measured.latency_ms):.1f} ms",
        f"{p95:.1f} ms",
    )
    held, n = variant in _HELD_TO, len(equal)
    return [
        Measurement(
            figure=f"{variant}: answers equal to fp32's", value=share, unit="%", bar=97.0 if held else None,
            holds=share >= 97 if held else None, n=n, low=share, high=share, how=HOW,  # noqa: PLR2004 the bar
        ),
        Measurement(
            figure=f"{variant}: exact match less fp32's", value=shift, unit="points", bar=-1.0 if held else None,
            holds=abs(shift) <= 1 if held else None, n=n, low=low, high=high, how=HOW,
        ),
        Measurement.median(f"{variant}: latency", measured.latency_ms, "ms", HOW),
        Measurement.median(f"{variant}: size on disk", [measured.size_mib], "MiB", HOW),
        Measurement.median(f"{variant}: peak resident memory of the worker", [measured.memory_mib], "MiB", HOW),
        Measurement.median(f"{variant}: time to ready", [measured.ready_s], "s", HOW),
    ]  # fmt: skip
