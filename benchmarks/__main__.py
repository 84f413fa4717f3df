"""``python -m benchmarks``: the newest of each figure under ``runs/``, and which fall short of their bar."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measurements import Measurement, read, show


def main(runs: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs")) -> None:
    """Print the newest of each figure. Exits with 1 if there is none."""
    newest: dict[tuple[str, str], Measurement] = {}
    for path in sorted(runs.glob("*/figures.json"), key=lambda path: path.stat().st_mtime):
        for figure in read(path):
            newest[figure.how.split(";")[0], figure.figure] = figure
    if not newest:
        typer.echo(f"no figures under {runs}: run make variants, or another benchmark, first", err=True)
        raise typer.Exit(1)
    show(list(newest.values()), f"{len(newest)} figures")
    short = [figure.figure for figure in newest.values() if figure.holds is False]
    typer.echo(f"{len(short)} fall short" + "".join(f"\n  {name}" for name in short))


if __name__ == "__main__":
    typer.run(main)
