"""``python -m benchmarks.matcha``: benchmark MatCha at full size or, with ``variants``, the embedded model."""

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import measurements
from benchmarks.measurements import Measurement
from benchmarks.serving import serving
from clients.terminal import Fitting, commands, print_anything
from services.common.cpu import available_cores
from services.common.settings import MODELS
from services.matcha.types import ChartQuestion
from services.matcha.variants import VARIANTS

_GIB = 1 << 30
_MEMORY_BARS: dict[str, float] = {"onnx-int8": 0.9, "onnx-fp32": 1.9}

app = commands("Benchmark MatCha's variants.")
Out = Annotated[Path, typer.Option(help="Folder for figures.json.")]
Work = Annotated[Path, typer.Option(help="Folder for full-size models, kept between runs (about 10 GB).")]
Threads = Annotated[int, typer.Option(min=1, help="Compute threads per variant.")]
_WORK, _THREADS = Path("runs/bench-matcha"), available_cores()


@app.command("speed")
def speed_command(
    out: Out,
    work: Work = _WORK,
    optimum: Annotated[Path, typer.Option(help="Interpreter of Optimum's environment.")] = Path(
        ".venv-optimum/bin/python"
    ),
    rounds: Annotated[int, typer.Option(min=1, help="Timed answers of each, in turn.")] = 5,
    threads: Threads = _THREADS,
) -> None:
    """Time all variants, transformers 4 and Optimum at 2048 and 768 patches, eight tokens each."""
    from benchmarks.matcha import roofline, speed  # noqa: PLC0415 torch, which takes seconds and --help does not need

    if not optimum.exists():
        sys.exit(f"{optimum} is missing: run make optimum-env first")
    console = Console()
    place = speed.Place(work, optimum.absolute(), threads)
    for max_patches in (2048, 768):
        found = speed.subjects(place, max_patches)
        speed.time_all(found, rounds, lambda line: console.print(line, highlight=False, soft_wrap=True))
        measured = speed.speed_measurements(found, max_patches)
        medians = {
            measurement.figure.split(" at ")[0]: measurement.value
            for measurement in measured
            if measurement.unit == "s"
        }
        measured += roofline.roofline_measurements(roofline.throughput(threads), medians, max_patches)
        measurements.write(measured, out)
        measurements.show(measured, f"MatCha, 282 M parameters, {max_patches} patches, {threads} threads")


@app.command("attention")
def attention_command(out: Out, threads: Threads = _THREADS) -> None:
    """Compare one encoder layer's attention in int8 with the runtimes' own, at 2009 and 750 patches."""
    from benchmarks.matcha import attention  # noqa: PLC0415 as above

    if not attention.has_kernel():
        Console().print("int8 attention is not available on this machine: there is nothing to compare")
        return
    measured = [
        measurement for patches in (2009, 750) for measurement in attention.attention_measurements(patches, threads)
    ]
    measurements.write(measured, out)
    measurements.show(measured, f"Attention, 12 heads of 64, {threads} threads")


@app.command("serving")
def serving_command(out: Out, work: Work = _WORK, threads: Threads = _THREADS) -> None:
    """Measure time to ready and peak memory at full size and 2048 patches, and HTTP overhead on the embedded model."""
    from benchmarks.matcha import service, speed  # noqa: PLC0415 as above

    place = speed.Place(work, Path(), threads)
    image, measured = speed.chart(place), list[Measurement]()
    for variant in VARIANTS:
        with serving("matcha", speed.variant_folder(place, variant), variant, threads, "--force-bf16") as served:
            for _ in range(2):
                service.post(served.http, image, "What is the title?", 2048, 8)
            name = f"{variant}: peak resident memory of the worker at 2048 patches"
            measured.append(
                Measurement.median(
                    name, [served.peak_bytes() / _GIB], "GiB", speed.HOW, at_most=_MEMORY_BARS.get(variant)
                )
            )
            name = f"{variant}: peak resident memory of the whole service at 2048 patches"
            measured.append(Measurement.median(name, [served.service_peak_bytes() / _GIB], "GiB", speed.HOW))
            bar = None if VARIANTS[variant].needs_torch else 5.0
            measured.append(
                Measurement.median(f"{variant}: time to ready", [served.ready_s], "s", speed.HOW, at_most=bar)
            )
    tiny = MODELS / "tiny-matcha"
    question = ChartQuestion(image.read_bytes(), "What type of chart is it?", 8, 90)
    with serving("matcha", tiny, "fp32", 1) as served:
        added = service.added_ms(served, service.engine_like(tiny, "fp32", 1), image, question, pairs=200)
    measured.append(
        Measurement.median("what the service adds to the engine (embedded model)", added, "ms", speed.HOW, at_most=10)
    )
    measurements.write(measured, out)
    measurements.show(measured, f"Serving MatCha, {threads} threads")


@app.command("batches")
def batches_command(
    out: Out,
    work: Work = _WORK,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of a batch and the same questions one by one.")] = 3,
    threads: Threads = _THREADS,
) -> None:
    """Compare the throughput of a batch with answering one by one, on the CPU at full size."""
    from benchmarks.matcha import batches  # noqa: PLC0415 as above
    from benchmarks.matcha.speed import Place  # noqa: PLC0415 as above

    place, console, measured = Place(work, Path(), threads), Console(), list[Measurement]()
    for variant in VARIANTS:
        measured.append(batches.batch_measurement(place, variant, pairs))
        console.print(f"{variant}: {measured[-1].value:.2f} times", highlight=False)
    measurements.write(measured, out)
    measurements.show(measured, f"MatCha in batches, {threads} threads")


@app.command("variants")
def variants_command(
    out: Out,
    per_kind: Annotated[int, typer.Option(min=1, help="Held-out questions of each kind.")] = 40,
    threads: Threads = _THREADS,
) -> None:
    """Compare all variants with fp32 on the embedded model's held-out charts: answers, size, memory and times."""
    from benchmarks.matcha import parity  # noqa: PLC0415 as above

    measured = parity.compare(per_kind, threads, Console())
    measurements.write(measured.measurements, out)
    Console().print(Fitting(measured.table))


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.ERROR)  # httpx and the quantizer log every step
    logging.getLogger("httpx").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server started here is stopped
    print_anything()
    app()
