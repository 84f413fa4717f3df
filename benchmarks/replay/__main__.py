"""``python -m benchmarks.replay``: benchmark the replay client, print a table and write ``figures.json``."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measurements import show, write
from benchmarks.replay.measure import kills, overhead, reports, selections
from clients.terminal import run


def main(
    out: Annotated[Path | None, typer.Option(help="Folder for figures.json; default runs/<time>-bench-replay.")] = None,
    outcomes: Annotated[int, typer.Option(min=100, help="Outcomes per reported run.")] = 200_000,
) -> None:
    """Measure the replay client on this machine, which should be otherwise idle."""
    out = out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-bench-replay"
    made = out / "made"
    made.mkdir(parents=True)
    try:
        results = [
            *overhead(made, pairs=7, requests=300),
            *kills(made, times=10, questions=1500),
            *reports(made, outcomes),
            *selections(made),
        ]
    finally:
        shutil.rmtree(made)
    write(results, out)
    show(results, "replay")
    typer.echo(out / "figures.json")


if __name__ == "__main__":
    run(main)
