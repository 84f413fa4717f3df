"""The summary of a load test: a pure function of its folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from clients.replay.run.folder import RunFolder
from clients.replay.run.outcomes import Failure
from loadtests.results.outcomes import NOT_SENT, LoadFailed, LoadScored, Outcome, read
from loadtests.results.run_folder import LoadRecord, read_record

PERCENTILES: Final = (50, 90, 95, 99)
MAX_LAG_MS: Final = 20.0
"""A generator with a p99 scheduling lag above this is too busy: it also measures its own delay."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of ``n`` values in milliseconds, linearly interpolated; None without values."""

    n: int
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The percentiles of these values."""
        if not values:
            return cls(0, None, None, None, None, None)
        p50, p90, p95, p99 = np.percentile(values, PERCENTILES).tolist()
        return cls(len(values), p50, p90, p95, p99, max(values))


@dataclass(frozen=True, slots=True)
class Summary:
    """One load test. Rates are per second of the window, from the first request due to the last answer, but at least
    the profile's duration.

    Latency covers answers only: failures are counted separately, by class, and never as fast or slow answers. ``good``
    is the number of answers within the objective, ``good_per_s`` the goodput. ``saturated`` says why the generator's
    measurements are unreliable, and is None if they are reliable.
    """

    name: str
    service: str
    variant: str
    profile: str
    loop: str
    requests: int
    answered: int
    failures: dict[str, int]
    window_s: float
    offered_per_s: float
    answered_per_s: float
    objective_ms: float
    good: int
    good_per_s: float
    latency: Spread
    lag: Spread
    most_in_flight: int
    saturated: str | None

    @property
    def good_share(self) -> float:
        """Share of all requests that were answered within the objective."""
        return self.good / self.requests if self.requests else 0.0


def summarize(folder: Path) -> Summary:
    """The summary of a load test's folder.

    Raises:
        LoadTestError: the folder is not from a load test.
    """
    return _summary(folder.name, read_record(folder), read(RunFolder(folder).outcomes))


def most_in_flight(outcomes: Sequence[Outcome]) -> int:
    """The largest number of requests in flight at once."""
    starts = [(outcome.sent_at_s, 1) for outcome in outcomes]
    ends = [(outcome.ended_at_s, -1) for outcome in outcomes]
    changes = sorted(starts + ends)
    return int(np.cumsum([change for _, change in changes]).max(initial=0))


def window(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """When the first request was due and the last ended, in seconds since 1970; zeros without any."""
    if not outcomes:
        return 0.0, 0.0
    return min(outcome.intended_at_s for outcome in outcomes), max(outcome.ended_at_s for outcome in outcomes)


def _summary(name: str, record: LoadRecord, outcomes: Sequence[Outcome]) -> Summary:
    profile = record.load.asked
    scored = [outcome for outcome in outcomes if isinstance(outcome, LoadScored)]
    failures = [outcome.failure for outcome in outcomes if isinstance(outcome, LoadFailed)]
    lag = Spread.of([outcome.lag_ms for outcome in outcomes])
    good = sum(outcome.waited_for_ms <= profile.objective_ms for outcome in scored)
    first_s, last_s = window(outcomes)
    window_s = max(profile.duration_s, last_s - first_s)
    return Summary(
        name=name,
        service=record.load.service,
        variant=record.server.variant,
        profile=profile.name,
        loop=profile.loop,
        requests=len(outcomes),
        answered=len(scored),
        failures=dict(Counter(map(failure_class, failures)).most_common()),
        window_s=window_s,
        offered_per_s=len(outcomes) / profile.duration_s,
        answered_per_s=len(scored) / window_s,
        objective_ms=profile.objective_ms,
        good=good,
        good_per_s=good / window_s,
        latency=Spread.of([outcome.waited_for_ms for outcome in scored]),
        lag=lag,
        most_in_flight=most_in_flight(outcomes),
        saturated=_saturated(record, failures, lag),
    )


def failure_class(failure: Failure) -> str:
    """The class a failure is counted under: its kind, with the status and code of an HTTP error."""
    parts = (failure.kind.value, failure.status, failure.code)
    return " ".join(str(part) for part in parts if part is not None)


def _saturated(record: LoadRecord, failures: Sequence[Failure], lag: Spread) -> str | None:
    not_sent = sum(failure.code == NOT_SENT for failure in failures)
    if not_sent:
        return f"{not_sent} requests were not sent: too many were in flight"
    if lag.p99_ms is not None and lag.p99_ms > MAX_LAG_MS:
        return f"p99 scheduling lag is {lag.p99_ms:.0f} ms, over {MAX_LAG_MS:g}"
    return "a process of the generator was above 90 % of a core" if record.load.client_overloaded else None
