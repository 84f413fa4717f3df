"""Results of a benchmark: a table on the terminal, and the same measurements in ``figures.json``.

Benchmarks, load tests and mutation testing all use this format; ``make figures`` reads them all.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from clients.terminal import Fitting


class Measurement(BaseModel):
    """One measured number; ``bar`` is its target, None if it only serves for comparison.

    If ``value`` is a median, ``low`` and ``high`` are the smallest and largest of the values, else None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: str
    value: float
    unit: str
    bar: float | None
    holds: bool | None
    n: int
    low: float | None
    high: float | None
    how: str

    @classmethod
    def single(  # noqa: PLR0913 - one parameter per field
        cls,
        name: str,
        value: float,
        unit: str,
        how: str,
        *,
        n: int,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Self:
        """A number computed over all ``n`` cases, such as a percentile or a share."""
        holds = None
        if at_most is not None:
            holds = value <= at_most
        elif at_least is not None:
            holds = value >= at_least
        bar = at_least if at_most is None else at_most
        return cls(figure=name, value=value, unit=unit, bar=bar, holds=holds, n=n, low=None, high=None, how=how)

    @classmethod
    def median(  # noqa: PLR0913 - as above
        cls,
        name: str,
        values: Sequence[float],
        unit: str,
        how: str,
        *,
        n: int | None = None,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Self:
        """The median of several values, with the smallest and largest; pass ``n`` if a value covers many cases."""
        median = statistics.median(values)
        cases = n or len(values)
        found = cls.single(name, median, unit, how, n=cases, at_most=at_most, at_least=at_least)
        return found.model_copy(update={"low": min(values), "high": max(values)})


def read(path: Path) -> list[Measurement]:
    """Read the measurements in a ``figures.json``.

    Raises:
        pydantic.ValidationError: an entry is not a measurement.
    """
    return [Measurement.model_validate(item) for item in json.loads(path.read_bytes())]


def write(measurements: Sequence[Measurement], folder: Path) -> None:
    """Write ``figures.json`` atomically; existing entries are kept, or replaced by new ones of the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "figures.json"
    before = read(path) if path.exists() else []
    merged = {item.figure: item for item in [*before, *measurements]}
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps([item.model_dump() for item in merged.values()], indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def show(measurements: Sequence[Measurement], title: str) -> None:
    """Print the measurements as a table."""
    table = Table(title=title)
    for column in ("measurement", "value", "low … high", "n", "bar", "holds"):
        table.add_column(column, justify="left" if column == "measurement" else "right")
    for item in measurements:
        table.add_row(
            item.figure,
            f"{item.value:.4g} {item.unit}",
            "" if item.low is None or item.high is None else f"{item.low:.4g} … {item.high:.4g}",
            str(item.n),
            "" if item.bar is None else f"{item.bar:g}",
            {True: "yes", False: "no", None: ""}[item.holds],
        )
    Console().print(Fitting(table))
