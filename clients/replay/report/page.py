"""The report page: one self-contained HTML file that makes no network requests."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clients.replay.analysis.evidence import p_value, signed
from clients.replay.analysis.scores import RunReport, Score, ScoreRow
from clients.replay.report.examples import Example
from clients.replay.scoring.metrics import Metric

_HERE: Final = Path(__file__).parent
_MOST_COLUMNS: Final = 10
_INVISIBLE: Final = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as shown on the page: its measurements, figures and example cards."""

    report: RunReport
    figures: tuple[Markup, ...]
    latency_figure: Markup | None
    confusion_figure: Markup | None
    best: tuple[Example, ...]
    worst: tuple[Example, ...]
    spotlight: Example | None


def render(views: Sequence[RunView]) -> str:
    """Render the report page over these runs."""
    return fill("report.html.jinja", runs=views, metrics=metrics_of([view.report for view in views]))


def metrics_of(reports: Sequence[RunReport]) -> dict[str, Metric]:
    """Every metric of the runs' tasks, by name."""
    return {metric.name: metric for report in reports for metric in report.task.metrics}


def fill(template: str, **content: object) -> str:
    """Render a template."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "duration": duration,
        "token": visible_token,
        "columns": columns,
        "command": command,
        "p_value": p_value,
        "signed": signed,
    }
    environment.globals["headline"] = headline
    style = Markup((_HERE / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own style sheet
    return environment.get_template(template).render(**content, style=style).lstrip()


def headline(report: RunReport, row: ScoreRow) -> Score:
    """A row's headline score."""
    return next(score for score in row.scores if score.metric == report.task.headline.name)


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal, without the sign; empty for None."""
    return "" if share is None else f"{100 * share:.1f}"


def duration(milliseconds: float) -> str:
    """A duration in a suitable unit."""
    if milliseconds >= 1000:  # noqa: PLR2004 - a second
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"  # noqa: PLR2004 - two digits


def visible_token(token: str) -> str:
    """A token with visible whitespace if it is only whitespace, else stripped."""
    return token.strip() or token.translate(_INVISIBLE) or "∅"


def columns(cells: int) -> int:
    """Number of cells per row of a strip, so that all rows are about equally long."""
    rows = math.ceil(cells / _MOST_COLUMNS)
    return math.ceil(cells / rows)


def command(report: RunReport) -> str:
    """The command line that repeats the run."""
    record, selection = report.record, report.record.selection
    parts = [
        f"python -m clients.replay run --task {record.task} --data {record.data} --url {record.url}",
        f"--out {report.name} --split {selection.split} --seed {selection.seed}",
        f"--concurrency {record.concurrency} --timeout-s {record.timeout_s:g} --retries {record.retries}",
        "--simple-only" if selection.simple_only else "",
        f"--max-answer {selection.max_answer}" if selection.max_answer is not None else "",
        *(f"--question-type {shlex.quote(name)}" for name in selection.question_types),
        f"--picture-share {selection.picture_share:g}" if selection.picture_share is not None else "",
        "--one-question-per-image" if selection.one_question_per_image else "",
        f"--limit {selection.limit}" if selection.limit else "",
        f"--shard {record.shard.index}/{record.shard.count}" if record.shard else "",
        f"--max-patches {record.max_patches}" if record.max_patches else "",
        f"--max-new-tokens {record.max_new_tokens}" if record.max_new_tokens else "",
        f"--prompt {shlex.quote(record.prompt)}" if record.prompt not in {None, "{question}"} else "",
        "--lens" if record.lens else "",
    ]
    return " \\\n  ".join(part for part in parts if part)
