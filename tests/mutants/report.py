"""Report the share of mutants noticed per module, and those that need a test or a reason."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measurements import Measurement, write
from clients.terminal import Fitting
from tests.mutants.mutant import Fate, Mutant
from tests.mutants.reasons import Reasons

BAR_PERCENT: Final = 85.0


@dataclass(frozen=True, slots=True)
class Row:
    """One module."""

    module: str
    noticed: int
    explained: int
    unexplained: tuple[Mutant, ...]
    untried: int

    @property
    def tried(self) -> int:
        """Number of mutants whose fate is known."""
        return self.noticed + self.explained + len(self.unexplained)

    @property
    def percent(self) -> float:
        """The share that was noticed; mutants with a reason still count as unnoticed."""
        return 100.0 * self.noticed / self.tried if self.tried else 100.0

    @property
    def holds(self) -> bool:
        """Whether the share is high enough."""
        return self.percent >= BAR_PERCENT


def tally(mutants: Iterable[Mutant], reasons: Reasons) -> list[Row]:
    """A row for each module, by path."""
    rows = []
    for module, group in groupby(sorted(mutants, key=_module), key=_module):
        found = list(group)
        unnoticed = [mutant for mutant in found if mutant.unnoticed]
        unexplained = tuple(mutant for mutant in unnoticed if reasons.of(mutant) is None)
        fates = [mutant.fate for mutant in found]
        noticed, untried = fates.count(Fate.NOTICED), fates.count(Fate.UNTRIED)
        rows.append(Row(module, noticed, len(unnoticed) - len(unexplained), unexplained, untried))
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print a table, then every unexplained survivor as an entry for survivors.toml."""
    table = Table(title=f"Mutants noticed per module, at least {BAR_PERCENT:g} % required")
    table.add_column("module")
    for column in ("noticed", "of", "%", "explained", "open", "untried"):
        table.add_column(column, justify="right")
    for row in rows:
        numbers = (row.noticed, row.tried, f"{row.percent:.0f}", row.explained, len(row.unexplained), row.untried)
        table.add_row(row.module, *map(str, numbers))
    Console().print(Fitting(table))
    for mutant in (mutant for row in rows for mutant in row.unexplained):
        entry = {"module": mutant.module, "function": mutant.function, "change": mutant.change, "reason": ""}
        lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in entry.items()]
        typer.echo("\n".join(["", "[[survivor]]", *lines]))


def save(rows: Sequence[Row], folder: Path) -> None:
    """Write ``figures.json``."""
    how = "make mutants"
    shares = [Measurement.single(row.module, row.percent, "%", how, n=row.tried, at_least=BAR_PERCENT) for row in rows]
    write(shares, folder)


def _module(mutant: Mutant) -> str:
    return mutant.module
