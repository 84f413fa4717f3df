"""A measured figure beside the number it is held to, and the file they go to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of ``figures.json``: ``bar`` is the number asked for, if one is; ``low`` to ``high`` the spread."""

    figure: str
    value: float
    unit: str
    bar: float | None
    holds: bool | None
    n: int
    low: float
    high: float
    how: str = "make bench-replay"

    @classmethod
    def of(
        cls, figure: str, values: Sequence[float], unit: str, bar: float | None = None, n: int | None = None
    ) -> "Figure":
        """The median of some measurements, held to at most ``bar``."""
        ordered = sorted(round(value, 3) for value in values)
        median = ordered[len(ordered) // 2]
        holds = None if bar is None else median <= bar
        return cls(figure, median, unit, bar, holds, n or len(values), ordered[0], ordered[-1])


def write_figures(out: Path, figures: Sequence[Figure]) -> None:
    """Write ``figures.json``, whole or not at all."""
    draft = out / "figures.json.part"
    draft.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
    draft.replace(out / "figures.json")


def table(figures: Sequence[Figure]) -> Table:
    """The figures for a terminal."""
    shown = Table("figure", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("value", "low", "high", "bar", "n", "holds"):
        shown.add_column(heading, justify="right")
    for entry in figures:
        bar = "" if entry.bar is None else f"{entry.bar:g}"
        holds = "" if entry.holds is None else "yes" if entry.holds else "NO"
        shown.add_row(
            entry.figure, f"{entry.value:g} {entry.unit}", f"{entry.low:g}", f"{entry.high:g}", bar, str(entry.n), holds
        )
    return shown
