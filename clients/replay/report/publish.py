"""The report command's work: read the runs, compute, draw, and write page and JSON, each whole or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from clients.replay.errors import ReplayError
from clients.replay.record import RunFolder
from clients.replay.report import figures
from clients.replay.report.compute import RunReport, compute, load_run
from clients.replay.report.examples import choose_examples, choose_spotlight
from clients.replay.report.page import RunView, duration, headline, percent, render


def report_runs(runs: Sequence[Path], out: Path, seed: int) -> tuple[RunReport, ...]:
    """Write ``index.html`` and ``report.json`` over some runs.

    Raises:
        ReplayError: a folder holds no run, or the report cannot be written.
    """
    views = [
        _view(number, name, path, seed) for number, (name, path) in enumerate(zip(_names(runs), runs, strict=True))
    ]
    reports = tuple(view.report for view in views)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "report.json", json.dumps({"runs": list(map(as_json, reports))}, ensure_ascii=False, indent=2))
        _write(out / "index.html", render(views))
    except OSError as error:
        message = f"{out} cannot be written to: {error.strerror}. Name another folder with --out."
        raise ReplayError(message) from error
    return reports


def as_json(report: RunReport) -> dict[str, Any]:  # Any: JSON values
    """A run's figures as ``report.json`` holds them."""
    fields: dict[str, Any] = TypeAdapter(RunReport).dump_python(report, mode="json")
    return fields


def summary_table(reports: Sequence[RunReport]) -> Table:
    """The reports in short, for a terminal: score and majority baseline in %, latency as the client saw it."""
    table = Table(Column("run", overflow="fold"), Column("model", overflow="fold"), box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("score", "base", "n", "fail", "p50", "p95"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        server = report.record.server
        model = f"{server.id.rpartition('/')[2]} {server.variant}"
        table.add_row(report.name, model, *_score_cells(report), *_latency_cells(report))
    return table


def _view(number: int, name: str, path: Path, seed: int) -> RunView:
    record, outcomes = load_run(path)
    report, scored, pictures = compute(name, record, outcomes), outcomes.scored, RunFolder(path).pictures
    return RunView(
        report=report,
        figures=_lens_figures(report, number),
        latency_figure=figures.latency_ecdf(scored, number) if scored else None,
        examples=choose_examples(report.task, scored, pictures, seed),
        spotlight=choose_spotlight(report.task, scored, pictures, seed),
    )


def _lens_figures(report: RunReport, number: int) -> tuple[Markup, ...]:
    if report.lens is None:
        return ()
    drawings = (figures.lens_accuracy, figures.lens_han, figures.lens_entropy)
    return tuple(drawing(report.lens, number) for drawing in drawings)


def _names(runs: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in runs]
    return [
        f"{path.resolve().parent.name}-{name}" if names.count(name) > 1 else name
        for path, name in zip(runs, names, strict=True)
    ]


def _score_cells(report: RunReport) -> tuple[str, ...]:
    if report.overall is None:
        return "–", "–", "0", str(report.failed)
    score = headline(report, report.overall)
    return percent(score.value), percent(score.baseline), str(report.answered), str(report.failed)


def _latency_cells(report: RunReport) -> tuple[str, ...]:
    whole = next((entry for entry in report.latency if entry.part == "client"), None)
    return (duration(whole.p50_ms), duration(whole.p95_ms)) if whole else ("–", "–")


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
