"""The page: one HTML file that holds everything it shows, and asks nothing of the network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clients.replay.report.compute import Row, RunReport, Score
from clients.replay.report.examples import Example

_HERE: Final = Path(__file__).parent
_MOST_COLUMNS: Final = 10
_INVISIBLE: Final = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as the page shows it: its figures in numbers, in pictures, and its example cards."""

    report: RunReport
    figures: tuple[Markup, ...]
    latency_figure: Markup | None
    examples: tuple[Example, ...]
    spotlight: Example | None


def render(views: Sequence[RunView]) -> str:
    """The page over these runs."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "duration": duration,
        "token": visible_token,
        "columns": columns,
        "command": command,
    }
    environment.globals["headline"] = headline
    style = Markup((_HERE / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own style sheet
    metrics = {metric.name: metric for view in views for metric in view.report.task.metrics}
    return environment.get_template("template.html.jinja").render(runs=views, metrics=metrics, style=style).lstrip()


def headline(report: RunReport, row: Row) -> Score:
    """The one score that stands for a row."""
    return next(score for score in row.scores if score.metric == report.task.headline.name)


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal, without the sign; nothing for None."""
    return "" if share is None else f"{100 * share:.1f}"


def duration(milliseconds: float) -> str:
    """A duration in the unit that suits it."""
    if milliseconds >= 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"  # noqa: PLR2004 - two digits


def visible_token(token: str) -> str:
    """A token whose spaces and line ends can be seen; surrounding space of a word is dropped."""
    return token.strip() or token.translate(_INVISIBLE) or "∅"


def columns(cells: int) -> int:
    """How many cells of a strip go in a row, so that all rows are about as long."""
    rows = math.ceil(cells / _MOST_COLUMNS)
    return math.ceil(cells / rows)


def command(report: RunReport) -> str:
    """The command line that asks the same questions again."""
    record = report.record
    parts = [
        f"python -m clients.replay run --task {record.task} --data {record.data} --url {record.url}",
        f"--out {report.name} --split {record.selection.split} --seed {record.selection.seed}",
        f"--concurrency {record.concurrency} --timeout-s {record.timeout_s:g}",
        f"--limit {record.selection.limit}" if record.selection.limit else "",
        f"--max-patches {record.max_patches}" if record.max_patches else "",
        "--lens" if record.lens else "",
    ]
    return " \\\n  ".join(part for part in parts if part)
