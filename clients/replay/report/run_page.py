"""The ``report`` command: read the runs, compute, draw, and write the page and the JSON atomically."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.table import Table

from clients.replay.analysis.scores import RunReport, compute, load_run
from clients.replay.errors import ReplayError
from clients.replay.report import run_plots
from clients.replay.report.examples import Examples
from clients.replay.report.page import RunView, duration, headline, percent, render
from clients.replay.run.folder import RunFolder


def report_runs(runs: Sequence[Path], out: Path, seed: int) -> tuple[RunReport, ...]:
    """Write ``index.html`` and ``report.json`` for these runs.

    Raises:
        ReplayError: a folder is not a run folder, or the report cannot be written.
    """
    views = [_view(number, name, path, seed) for number, (name, path) in enumerate(zip(names(runs), runs, strict=True))]
    reports = tuple(view.report for view in views)
    write_pages(out, {"report.json": as_text({"runs": list(map(as_json, reports))}), "index.html": render(views)})
    return reports


def as_json(report: object) -> dict[str, Any]:  # Any: JSON values
    """A report or comparison as JSON values."""
    fields: dict[str, Any] = TypeAdapter(type(report)).dump_python(report, mode="json")
    return fields


def as_text(content: object) -> str:
    """Readable JSON text."""
    return json.dumps(content, ensure_ascii=False, indent=2)


def write_pages(out: Path, pages: dict[str, str]) -> None:
    """Write files atomically into a folder, which is created if needed.

    Raises:
        ReplayError: a file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            draft = out / f"{name}.part"
            draft.write_text(text + "\n", encoding="utf-8")
            draft.replace(out / name)
    except OSError as error:
        message = f"{out} cannot be written to: {error.strerror}. Choose another folder with --out."
        raise ReplayError(message) from error


def summary_table(reports: Sequence[RunReport]) -> Table:
    """A summary for the terminal: score and majority baseline in %, client latency."""
    table = Table("run", "model", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("score", "95 %", "base", "n", "fail", "p50", "p95"):
        table.add_column(heading, justify="right")
    for report in reports:
        server = report.record.server
        model = f"{server.id.rpartition('/')[2]} {server.variant}"
        table.add_row(report.name, model, *_score_cells(report), *_latency_cells(report))
    return table


def names(runs: Sequence[Path]) -> list[str]:
    """Names of the runs: their folders' names, prefixed with the parent's where two are equal."""
    own = [path.resolve().name for path in runs]
    return [
        f"{path.resolve().parent.name}-{name}" if own.count(name) > 1 else name
        for path, name in zip(runs, own, strict=True)
    ]


def _view(number: int, name: str, path: Path, seed: int) -> RunView:
    record, columns = load_run(path)
    report = compute(name, record, columns, seed)
    examples = Examples(report.task, columns, RunFolder(path), seed)
    best = examples.best()
    return RunView(
        report=report,
        figures=_lens_figures(report, number),
        latency_figure=run_plots.latency_ecdf(columns, number) if columns.n else None,
        confusion_figure=run_plots.confusion(report.counts, number) if report.counts else None,
        best=best,
        worst=examples.worst(best),
        spotlight=examples.spotlight(),
    )


def _lens_figures(report: RunReport, number: int) -> tuple[Markup, ...]:
    if report.lens is None:
        return ()
    drawings = (
        run_plots.lens_accuracy,
        run_plots.lens_answers,
        run_plots.lens_han,
        run_plots.lens_settling,
        run_plots.lens_entropy,
    )
    return tuple(drawing(report.lens, number) for drawing in drawings)


def _score_cells(report: RunReport) -> tuple[str, ...]:
    if report.overall is None:
        return "–", "–", "–", "0", str(report.failed)
    score = headline(report, report.overall)
    limits = f"{percent(score.low)}–{percent(score.high)}"
    return percent(score.value), limits, percent(score.baseline), str(report.answered), str(report.failed)


def _latency_cells(report: RunReport) -> tuple[str, ...]:
    if report.latency is None:
        return "–", "–"
    whole = report.latency.parts[-1]
    return duration(whole.p50_ms), duration(whole.p95_ms)
