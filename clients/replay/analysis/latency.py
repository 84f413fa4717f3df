"""Latency of answers and of its parts: percentiles in milliseconds, always with their n."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import ClusterBootstrap, Interval, interval
from clients.replay.analysis.columns import RunColumns

PERCENTILES: Final = (50, 90, 95, 99)

# in the order of a request's way through the service; "client" is the whole, measured by the client
PARTS: Final = ("queue", "preprocess", "inference", "total", "client")
_BANDED: Final = (("By image tokens (patches)", "image_tokens"), ("By answer length (tokens)", "completion_tokens"))
_MOST_BANDS: Final = 6


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of one part of the latency over ``n`` answers, linearly interpolated."""

    part: str
    n: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Client latency by one property of the request; each row's ``part`` names its band."""

    title: str
    rows: tuple[Percentiles, ...]


@dataclass(frozen=True, slots=True)
class LatencyMeasurements:
    """All latency measurements of a run.

    ``p50_interval`` and ``p95_interval`` are of the client latency. ``answers_per_s`` is over the time with at least
    one request in flight: pauses between sessions do not count. ``intended`` is the latency from when a request was due
    in a load test, None for a replay; ``goodput_per_s`` counts the answers within its deadline.
    """

    parts: tuple[Percentiles, ...]
    p50_interval: Interval
    p95_interval: Interval
    tables: tuple[LatencyTable, ...]
    retried: int
    busy_s: float | None
    answers_per_s: float | None
    intended: Percentiles | None
    goodput_per_s: float | None


def measure_latency(
    columns: RunColumns, bootstrap: ClusterBootstrap, deadline_ms: float | None = None
) -> LatencyMeasurements | None:
    """The latency measurements of a run; None if it has no answers."""
    if not columns.n:
        return None
    numbers = columns.numbers
    client, sent_at_s = numbers["client"], numbers["sent_at_s"]
    resampled = bootstrap.quantiles(client, np.array([0.50, 0.95]))
    busy_s = _busy_s(sent_at_s, client)
    late_ms = (sent_at_s - numbers["intended_at_s"]) * 1000
    intended = (client + late_ms)[np.isfinite(late_ms)]
    timely = int(((intended if intended.size else client) <= deadline_ms).sum()) if deadline_ms else None
    return LatencyMeasurements(
        parts=tuple(percentiles(part, numbers[part]) for part in PARTS),
        p50_interval=interval(resampled[:, 0]),
        p95_interval=interval(resampled[:, 1]),
        tables=tuple(_tables(columns)),
        retried=int((numbers["attempts"] > 1).sum()),
        busy_s=busy_s,
        answers_per_s=columns.n / busy_s if busy_s else None,
        intended=percentiles("from the due time", intended) if intended.size else None,
        goodput_per_s=timely / busy_s if timely is not None and busy_s else None,
    )


def percentiles(part: str, values_ms: NDArray[np.float64]) -> Percentiles:
    """The percentiles of some durations."""
    return Percentiles(part, len(values_ms), *np.percentile(values_ms, PERCENTILES).tolist())


def _busy_s(sent_at_s: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> float | None:
    """The total time with at least one request in flight, in seconds; None if send times are unknown."""
    known = np.isfinite(sent_at_s)
    if not known.any():
        return None
    order = np.argsort(sent_at_s[known])
    starts = sent_at_s[known][order]
    ends = np.maximum.accumulate(starts + latency_ms[known][order] / 1000)
    gaps = np.clip(starts[1:] - ends[:-1], 0, None)
    return float(ends[-1] - starts[0] - gaps.sum())


def _tables(columns: RunColumns) -> Iterator[LatencyTable]:
    numbers = columns.numbers
    client, turn = numbers["client"], numbers["turn"]
    first = tuple(
        percentiles(name, client[mask])
        for name, mask in (("first question", turn == 0), ("later questions", turn > 0))
        if mask.any()
    )
    if len(first) > 1:
        yield LatencyTable("First and later questions about an image", first)
    if columns.hits.any() and not columns.hits.all():
        cached = (("hit", columns.hits), ("miss", ~columns.hits))
        yield LatencyTable("By cache result", tuple(percentiles(name, client[mask]) for name, mask in cached))
    for title, name in _BANDED:
        rows = tuple(percentiles(label, client[mask]) for label, mask in bands(numbers[name]))
        if len(rows) > 1:
            yield LatencyTable(title, rows)


def bands(values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Group whole numbers into a few bands, in ascending order: one per value if few, else of about equal size."""
    distinct = np.unique(values)
    if len(distinct) <= _MOST_BANDS:
        edges = distinct
    else:
        cuts = np.quantile(values, np.arange(1, _MOST_BANDS) / _MOST_BANDS, method="higher")
        edges = np.unique(np.append(cuts, distinct[-1]))
    low = -np.inf
    for high in edges:
        mask = (values > low) & (values <= high)
        smallest = values[mask].min()
        yield (f"{high:.0f}" if smallest == high else f"{smallest:.0f} to {high:.0f}"), mask
        low = high
