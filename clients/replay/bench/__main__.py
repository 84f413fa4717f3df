"""``python -m clients.replay.bench``: measures, prints a table, and writes ``figures.json``."""

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clients.replay.bench.figure import table, write_figures
from clients.replay.bench.measure import kills, overhead, reports, selections


def main(
    out: Annotated[Path | None, typer.Option(help="Folder for figures.json; default runs/<time>-bench-replay.")] = None,
    outcomes: Annotated[int, typer.Option(min=100, help="Outcomes of the reported runs.")] = 200_000,
) -> None:
    """Measure the replay client on this machine. Nothing else should run meanwhile."""
    out, console = out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-bench-replay", Console()
    made = out / "made"
    made.mkdir(parents=True)
    try:
        figures = [
            *overhead(made, pairs=7, requests=300),
            *kills(made, times=10, questions=1500),
            *reports(made, outcomes),
            *selections(made),
        ]
    finally:
        shutil.rmtree(made)
    write_figures(out, figures)
    console.print(table(figures))
    console.print(str(out / "figures.json"), soft_wrap=True, highlight=False)


if __name__ == "__main__":
    typer.run(main)
