"""``python -m benchmarks``: print the latest measurements under ``runs/``, and those that miss their target."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measurements import Measurement, read, show
from clients.terminal import run


def main(runs: Annotated[Path, typer.Option(help="Folder with the run folders.")] = Path("runs")) -> None:
    """Print the latest value of each measurement. Exits with 1 if there are none."""
    newest: dict[tuple[str, str], Measurement] = {}
    for path in sorted(runs.glob("*/figures.json"), key=lambda path: path.stat().st_mtime):
        for measurement in read(path):
            newest[measurement.how.split(";")[0], measurement.figure] = measurement
    if not newest:
        typer.echo(f"no measurements under {runs}: first run make variants or another benchmark", err=True)
        raise typer.Exit(1)
    show(list(newest.values()), f"{len(newest)} measurements")
    missed = [measurement.figure for measurement in newest.values() if measurement.holds is False]
    typer.echo(f"{len(missed)} miss their target" + "".join(f"\n  {name}" for name in missed))


if __name__ == "__main__":
    run(main)
