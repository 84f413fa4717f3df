"""The ``compare`` command: read the runs, compare each with the first, and write the page and the JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from clients.replay.analysis.comparison import Comparison, Run, compare
from clients.replay.analysis.evidence import sentence
from clients.replay.analysis.scores import RunReport, ScoreRow, compute, load_run
from clients.replay.errors import ReplayError
from clients.replay.report import comparison_plots
from clients.replay.report.page import fill, metrics_of
from clients.replay.report.run_page import as_json, as_text, names, write_pages


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One group's rows, one per run; None where a run has no answers in the group."""

    group: str
    rows: tuple[ScoreRow | None, ...]


def compare_runs(runs: Sequence[Path], out: Path, seed: int) -> tuple[str, ...]:
    """Write ``index.html`` and ``compare.json`` over runs of one task; return the conclusions.

    Raises:
        ReplayError: a folder is not a run folder, the runs are of different tasks, or the output cannot be written.
    """
    loaded = [(name, *load_run(path)) for name, path in zip(names(runs), runs, strict=True)]
    reports = tuple(compute(name, record, columns, seed) for name, record, columns in loaded)
    task = reports[0].task
    if other := next((report for report in reports if report.record.task != task.name), None):
        message = (
            f"{other.name} is a run of {other.record.task}, {reports[0].name} of {task.name}: only runs of the same "
            "task can be compared."
        )
        raise ReplayError(message)
    compared = [Run(name, columns) for name, _, columns in loaded]
    comparisons = compare(task, compared[0], compared[1:], seed)
    sentences = _sentences(comparisons, reports)
    page = fill(
        "compare.html.jinja",
        reports=reports,
        comparisons=comparisons,
        sentences=sentences,
        labels=_labels(reports),
        tables=_tables(reports),
        figures=_figures(comparisons, reports),
        metrics=metrics_of(reports),
    )
    content = {
        "runs": list(map(as_json, reports)),
        "comparisons": list(map(as_json, comparisons)),
        "sentences": sentences,
    }
    write_pages(out, {"compare.json": as_text(content), "index.html": page})
    return sentences


def _sentences(comparisons: Sequence[Comparison], reports: Sequence[RunReport]) -> tuple[str, ...]:
    by_name, reference = {report.name: report for report in reports}, reports[0]
    sentences = [
        sentence(entry, reference.task.headline, (reference.record, by_name[entry.other].record))
        for entry in comparisons
    ]
    compared = {entry.other for entry in comparisons}
    alone = [report.name for report in reports[1:] if report.name not in compared]
    if alone:
        sentences.append(
            f"{', '.join(alone)} shares no question with {reference.name}, so no paired test is possible: only the "
            "scores and their intervals can be compared."
        )
    return tuple(sentences)


def _labels(reports: Sequence[RunReport]) -> dict[str, str]:
    return {name: metric.label for name, metric in metrics_of(reports).items()} | {"rmse": "Root mean square error"}


def _tables(reports: Sequence[RunReport]) -> list[tuple[str, list[SideBySide]]]:
    found: dict[tuple[str, str], dict[str, None]] = {}
    for report in reports:
        for table in report.tables:
            if not table.detail:
                groups = found.setdefault((table.key, table.title), {})
                groups.update(dict.fromkeys(row.group for row in table.rows))
    return [(title, [_side_by_side(reports, key, group) for group in groups]) for (key, title), groups in found.items()]


def _side_by_side(reports: Sequence[RunReport], key: str, group: str) -> SideBySide:
    rows = (
        next((row for table in report.tables if table.key == key for row in table.rows if row.group == group), None)
        for report in reports
    )
    return SideBySide(group, tuple(rows))


def _figures(comparisons: Sequence[Comparison], reports: Sequence[RunReport]) -> list[Markup]:
    drawn = [comparison_plots.quality_and_latency(reports)]
    if comparisons:
        drawn.append(comparison_plots.differences(comparisons, {n: m.label for n, m in metrics_of(reports).items()}))
    return drawn
