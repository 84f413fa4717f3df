"""``python -m benchmarks.qwen_vl``: write a full-size model and benchmark Qwen2-VL with it."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks import measurements
from benchmarks.measurements import Measurement
from clients.terminal import commands, print_anything
from services.common.cpu import WORKER_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

app = commands("Benchmark Qwen2-VL at full size.")
Folder = Annotated[Path, typer.Option(help="Folder of the full-size model; written if missing.")]
PARTS = ("reuse", "methods", "request", "memory", "artifacts", "servers", "library")


@app.command()
def run(  # noqa: PLR0913, PLR0917 options of a command line
    out: Annotated[Path, typer.Option(help="Folder for figures.json.")],
    model: Folder = Path("runs/qwen2-vl-2b-random"),
    parts: Annotated[str, typer.Option(help=f"Benchmarks to run, of {', '.join(PARTS)}.")] = ",".join(PARTS),
    pairs: Annotated[int, typer.Option(help="Pairs of tries per measurement.")] = 5,
    patience_s: Annotated[float, typer.Option(help="Longest wait for an idle machine, in seconds.")] = 240,
    serve_env: Annotated[Path | None, typer.Option(help="Environment with transformers[serving].")] = None,
    nnsight_env: Annotated[Path | None, typer.Option(help="Environment with nnsight.")] = None,
) -> None:
    """Run benchmarks, print tables and write the measurements."""
    from benchmarks.qwen_vl import artifacts  # noqa: PLC0415 torch
    from benchmarks.qwen_vl.library import library_measurements  # noqa: PLC0415 torch
    from benchmarks.qwen_vl.servers import server_measurements  # noqa: PLC0415 the same
    from benchmarks.qwen_vl.weights import write_model  # noqa: PLC0415 the same

    wanted = parts.split(",")
    if unknown := set(wanted) - set(PARTS):
        message = f"unknown parts {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}"
        raise typer.BadParameter(message)
    if not model.exists():
        typer.echo(f"writing a full-size model with random weights to {model}")
        write_model(model)
    engine_parts = [part for part in wanted if part in {"reuse", "methods", "request", "memory"}]
    if engine_parts:
        _measure_engine(model, engine_parts, pairs, patience_s, out)
    if "artifacts" in wanted:
        for variant in artifacts.VARIANTS:
            _report(list(artifacts.artifact_measurements(model, variant)), "artifacts", out)
    outside: dict[str, tuple[Path | None, Callable[[Path], Iterator[Measurement]]]] = {
        "servers": (serve_env, lambda env: server_measurements(model, env, 4, max(1, pairs // 4), patience_s)),
        "library": (nnsight_env, lambda env: library_measurements(model, env, pairs, patience_s)),
    }
    for part, (environment, measure) in outside.items():
        if part in wanted and environment is None:
            typer.echo(f"{part}: skipped, because it needs a separate environment (see --help)")
        elif part in wanted and environment is not None:
            _report(list(measure(environment)), part, out)


def _measure_engine(model: Path, parts: list[str], pairs: int, patience_s: float, out: Path) -> None:
    from benchmarks.qwen_vl import cache, lens  # noqa: PLC0415 torch
    from services.common.cpu import available_cores  # noqa: PLC0415 the same
    from services.qwen_vl.engine import VisionQA  # noqa: PLC0415 the same
    from services.qwen_vl.types import Limits  # noqa: PLC0415 the same

    engine = VisionQA.load(model, "bf16", "cpu", available_cores(), Limits())
    measures: dict[str, Callable[[], Iterator[Measurement]]] = {
        "reuse": lambda: cache.reuse_measurements(engine, pairs, patience_s),
        "methods": lambda: lens.method_measurements(engine, pairs, patience_s),
        "request": lambda: lens.request_measurements(engine, pairs, patience_s),
        "memory": lambda: cache.memory_measurements(engine, 64, 200),
    }
    for part in parts:
        _report(list(measures[part]()), part, out)


def _report(measured: list[Measurement], part: str, out: Path) -> None:
    measurements.show(measured, f"Qwen2-VL at 2B size, bf16: {part}")
    measurements.write(measured, out)


@app.command()
def weights(model: Folder = Path("runs/qwen2-vl-2b-random")) -> None:
    """Write the full-size model with random weights (4.4 GB)."""
    from benchmarks.qwen_vl.weights import write_model  # noqa: PLC0415 torch

    write_model(model)


if __name__ == "__main__":
    if not WORKER_ENVIRONMENT.items() <= os.environ.items():  # like the service's worker, from process start
        again = [sys.executable, "-m", "benchmarks.qwen_vl", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | WORKER_ENVIRONMENT)  # noqa: S606 ourselves
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a server started here is stopped
    print_anything()
    app()
