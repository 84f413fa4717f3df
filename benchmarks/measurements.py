"""What a benchmark leaves: a table to read, and ``figures.json``, a list of the same numbers.

Every producer writes here: benchmarks, load tests and mutation testing. ``make figures`` reads them all.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table


class Measurement(BaseModel):
    """One number: ``bar`` is what it is held to, None where it stands beside others for comparison.

    ``low`` and ``high`` are the smallest and the largest of the values that ``value`` is the median of, None where it
    is no median.
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
    def single(  # noqa: PLR0913 - a line of figures.json has as many parts
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
        """A number computed over ``n`` cases at once, such as a percentile or a share."""
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
        """The median of some values with their smallest and largest; ``n`` where each stands for many cases."""
        median = statistics.median(values)
        cases = n or len(values)
        found = cls.single(name, median, unit, how, n=cases, at_most=at_most, at_least=at_least)
        return found.model_copy(update={"low": min(values), "high": max(values)})


def read(path: Path) -> list[Measurement]:
    """The measurements of a ``figures.json``.

    Raises:
        pydantic.ValidationError: an entry is not a measurement.
    """
    return [Measurement.model_validate(item) for item in json.loads(path.read_bytes())]


def write(measurements: Sequence[Measurement], folder: Path) -> None:
    """Write ``figures.json``, whole or not at all; entries of the same name that were there before are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "figures.json"
    before = read(path) if path.exists() else []
    merged = {each.figure: each for each in [*before, *measurements]}
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps([each.model_dump() for each in merged.values()], indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def show(measurements: Sequence[Measurement], title: str) -> None:
    """Print a table."""
    table = Table(title=title)
    for column in ("figure", "value", "low … high", "n", "bar", "holds"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for each in measurements:
        table.add_row(
            each.figure,
            f"{each.value:.4g} {each.unit}",
            "" if each.low is None or each.high is None else f"{each.low:.4g} … {each.high:.4g}",
            str(each.n),
            "" if each.bar is None else f"{each.bar:g}",
            {True: "yes", False: "no", None: ""}[each.holds],
        )
    Console().print(table)
