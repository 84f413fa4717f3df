"""``python -m tests.mutants``: insert small bugs and report those that no test notices."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from clients.terminal import run
from tests.mutants import changed, groups, reasons, report, results, work
from tests.mutants.groups import Group
from tests.mutants.mutant import Mutant

_A_DAY: Final = 24 * 60.0

Names = Annotated[list[str] | None, typer.Argument(help="Groups in groups.toml; all by default.")]
Since = Annotated[str | None, typer.Option(help="Only functions with lines changed since this commit.")]
Minutes = Annotated[
    float | None,
    typer.Option(help="Stop after so many minutes, and say what was not tried; a day by default.", min=0.1),
]
Out = Annotated[Path | None, typer.Option(help="Folder for figures.json.")]


def main(names: Names = None, since: Since = None, minutes: Minutes = None, out: Out = None) -> None:
    """Mutate the modules of each group and run its tests.

    Exits with 1 if a mutant survives that survivors.toml does not explain, or, unless --since is given, if the tests
    notice less than 85 % of a module's mutants.
    """
    deadline = time.monotonic() + 60 * (minutes or _A_DAY)
    rows = report.tally(
        [mutant for group in groups.load(names or []) for mutant in _try(group, since, deadline)], reasons.load()
    )
    report.show(rows)
    if out and not since:
        report.save(rows, out)
    if any(row.unexplained or not (since or row.holds) for row in rows):
        raise typer.Exit(1)


def _try(group: Group, since: str | None, deadline: float) -> Iterator[Mutant]:
    wanted = changed.functions(group, since) if since else None
    if wanted == set():
        return
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        typer.echo(f"{group.name}: no time left", err=True)
        return
    typer.echo(f"{group.name}: {len(group.files)} modules", err=True)
    work.prepare(group)
    results.forget_unnoticed(group)
    work.run(group, changed.patterns(wanted or ()), limit_s=left_s)
    yield from (mutant for mutant in results.read(group) if wanted is None or mutant.place in wanted)


if __name__ == "__main__":
    run(main)
