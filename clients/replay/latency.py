"""How long answers took, and where the time went: percentiles in milliseconds, always with their n."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from clients.replay.outcomes import Scored

PERCENTILES: Final = (50, 95, 99)

# in the order of a request's way through the service; "client" is the whole, seen from this side of the network
PARTS: Final[Mapping[str, Callable[[Scored], float]]] = {
    "queue": lambda outcome: outcome.timing.queue_ms,
    "preprocess": lambda outcome: outcome.timing.preprocess_ms,
    "inference": lambda outcome: outcome.timing.inference_ms,
    "total": lambda outcome: outcome.timing.total_ms,
    "client": lambda outcome: outcome.latency_ms,
}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of one part of the latency over ``n`` answers, linearly interpolated."""

    part: str
    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def latencies_ms(outcomes: Sequence[Scored], part: str) -> list[float]:
    """One part of the latency of every answer."""
    return [PARTS[part](outcome) for outcome in outcomes]


def percentiles(outcomes: Sequence[Scored]) -> tuple[Percentiles, ...]:
    """The percentiles of every part; nothing without answers."""
    if not outcomes:
        return ()
    return tuple(_percentiles(part, latencies_ms(outcomes, part)) for part in PARTS)


def _percentiles(part: str, values: list[float]) -> Percentiles:
    p50, p95, p99 = np.percentile(values, PERCENTILES).tolist()
    return Percentiles(part, len(values), p50, p95, p99)
