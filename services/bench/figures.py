"""What a benchmark leaves: a table to read, and ``figures.json``, a list of the same."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

Sense = Literal["at most", "at least"]


class Figure(BaseModel):
    """One number: ``bar`` is what it is held to, None where it stands beside others for comparison."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: str
    value: float
    unit: str
    bar: float | None
    holds: bool | None
    n: int
    low: float
    high: float
    how: str

    @classmethod
    def median(cls, name: str, values: Sequence[float], unit: str, how: str, **held_to: float) -> Self:
        """The median of some values with their smallest and largest, held to ``at_most`` or ``at_least``."""
        value = statistics.median(values)
        bar = held_to.get("at_most", held_to.get("at_least"))
        holds = None
        if bar is not None:
            holds = value <= bar if "at_most" in held_to else value >= bar
        return cls(
            figure=name,
            value=value,
            unit=unit,
            bar=bar,
            holds=holds,
            n=len(values),
            low=min(values),
            high=max(values),
            how=how,
        )


def write(figures: Sequence[Figure], folder: Path) -> None:
    """Write ``figures.json``, whole or not at all; figures of the same name that were there before are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "figures.json"
    before = [Figure.model_validate(item) for item in json.loads(path.read_bytes())] if path.exists() else []
    merged = {figure.figure: figure for figure in [*before, *figures]}
    draft = path.with_suffix(".json.part")
    draft.write_text(json.dumps([figure.model_dump() for figure in merged.values()], indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def show(figures: Sequence[Figure], title: str) -> None:
    """Print a table."""
    table = Table(title=title)
    for column in ("figure", "value", "low … high", "n", "bar", "holds"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for figure in figures:
        table.add_row(
            figure.figure,
            f"{figure.value:.4g} {figure.unit}",
            f"{figure.low:.4g} … {figure.high:.4g}",
            str(figure.n),
            "" if figure.bar is None else f"{figure.bar:g}",
            {True: "yes", False: "no", None: ""}[figure.holds],
        )
    Console().print(table)
