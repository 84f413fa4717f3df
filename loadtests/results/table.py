"""Load tests side by side: a table for the terminal, and the measurements for ``figures.json``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from rich.table import Table

from benchmarks.measurements import Measurement
from loadtests.results.summary import Summary

_ROWS: Final[Mapping[str, Callable[[Summary], str]]] = {
    "variant": lambda summary: summary.variant,
    "profile": lambda summary: summary.profile,
    "offered, 1/s": lambda summary: f"{summary.offered_per_s:.1f}",
    "answered, 1/s": lambda summary: f"{summary.answered_per_s:.1f}",
    "goodput, 1/s": lambda summary: f"{summary.good_per_s:.1f}",
    "objective, ms": lambda summary: f"{summary.objective_ms:g}",
    "within it": lambda summary: f"{100 * summary.good_share:.1f} %",
    "p50, ms": lambda summary: _ms(summary.latency.p50_ms),
    "p90, ms": lambda summary: _ms(summary.latency.p90_ms),
    "p95, ms": lambda summary: _ms(summary.latency.p95_ms),
    "p99, ms": lambda summary: _ms(summary.latency.p99_ms),
    "of n answers": lambda summary: str(summary.latency.n),
    "most in flight": lambda summary: str(summary.most_in_flight),
    "failed": lambda summary: str(summary.requests - summary.answered),
}


def render(summaries: Sequence[Summary]) -> Table:
    """One column per load test; one row per measurement and per failure class."""
    table = Table(title="Latency is counted from the time a request was due; answers only", title_justify="left")
    table.add_column()
    for summary in summaries:
        table.add_column(summary.name, justify="right")
    for row, cell in _ROWS.items():
        table.add_row(row, *map(cell, summaries))
    for failure in dict.fromkeys(failure for summary in summaries for failure in summary.failures):
        table.add_row(f"  {failure}", *(str(summary.failures.get(failure, 0)) for summary in summaries))
    return table


def warnings(summaries: Sequence[Summary]) -> Iterator[str]:
    """Warnings about unreliable results."""
    for summary in summaries:
        if summary.saturated:
            yield f"{summary.name}: the generator was saturated ({summary.saturated}) and affected the results"


def measurements(summary: Summary, how: str) -> list[Measurement]:
    """The measurements of one load test; percentiles without values are omitted."""
    shown = [
        ("offered", summary.offered_per_s, "1/s", summary.requests),
        ("answered", summary.answered_per_s, "1/s", summary.answered),
        ("goodput", summary.good_per_s, "1/s", summary.good),
        ("requests within the objective", summary.good_share * 100, "%", summary.requests),
        ("failed", summary.requests - summary.answered, "requests", summary.requests),
        ("p50 latency", summary.latency.p50_ms, "ms", summary.latency.n),
        ("p99 latency", summary.latency.p99_ms, "ms", summary.latency.n),
        ("p99 scheduling lag", summary.lag.p99_ms, "ms", summary.lag.n),
    ]
    place = f"{summary.service} {summary.variant}, {summary.profile}"
    return [
        Measurement.single(f"{name}: {place}", value, unit, how, n=n)
        for name, value, unit, n in shown
        if value is not None
    ]


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
