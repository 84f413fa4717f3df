"""How long answers took, and where the time went: percentiles in milliseconds, always with their n."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import ClusterBootstrap, Interval, interval
from clients.replay.analysis.columns import RunColumns

PERCENTILES: Final = (50, 90, 95, 99)

# in the order of a request's way through the service; "client" is the whole, seen from this side of the network
PARTS: Final = ("queue", "preprocess", "inference", "total", "client")
_BANDED: Final = (("By image tokens (patches)", "image_tokens"), ("By tokens of the answer", "completion_tokens"))
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
    """The client's latency by one property of the request; each row's ``part`` names its band."""

    title: str
    rows: tuple[Percentiles, ...]


@dataclass(frozen=True, slots=True)
class LatencyMeasurements:
    """Everything about how long answers took.

    ``p50_interval`` and ``p95_interval`` are of the client's latency. ``answers_per_s`` is over the time in which at
    least one request was under way: pauses between sessions do not count. ``intended`` is the latency from when a load
    test meant to send, None for a replay; ``goodput_per_s`` counts the answers within its deadline.
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
    """The measurements of a run's answers; None without answers."""
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
        intended=percentiles("from intended sending", intended) if intended.size else None,
        goodput_per_s=timely / busy_s if timely is not None and busy_s else None,
    )


def percentiles(part: str, values_ms: NDArray[np.float64]) -> Percentiles:
    """The percentiles of some durations."""
    return Percentiles(part, len(values_ms), *np.percentile(values_ms, PERCENTILES).tolist())


def _busy_s(sent_at_s: NDArray[np.float64], latency_ms: NDArray[np.float64]) -> float | None:
    """The length of the union of all requests' times, in seconds; None if nobody noted when they were sent."""
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
        yield LatencyTable("First question about an image, and later ones", first)
    if columns.hits.any() and not columns.hits.all():
        cached = (("hit", columns.hits), ("miss", ~columns.hits))
        yield LatencyTable("By the service's cache", tuple(percentiles(name, client[mask]) for name, mask in cached))
    for title, name in _BANDED:
        rows = tuple(percentiles(label, client[mask]) for label, mask in bands(numbers[name]))
        if len(rows) > 1:
            yield LatencyTable(title, rows)


def bands(values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """A few groups of whole numbers, from the smallest up: one per value if there are few, else of about equal size."""
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
