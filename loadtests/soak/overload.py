"""More requests than can be answered: what is still answered in time, and what the rest is told."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

from benchmarks.measurements import Measurement
from loadtests.results.outcomes import Outcome
from loadtests.results.summary import Summary
from loadtests.soak.load import answered, capacity_per_s, open_loop, outcomes_in, refused, under
from loadtests.soak.target import Memory, Target, watched

TIMES: Final = (3, 10)
"""Multiples of the capacity."""
_WARM_UP_S: Final = 5.0
_CAPACITY_S: Final = 20.0


def overload(target: Target, out: Path, how: str, duration_s: float) -> list[Measurement]:
    """Offer multiples of the capacity for so long each.

    The capacity is measured before and after each, and its mean is what counts: a machine's speed changes in minutes.
    """
    out.mkdir(parents=True)
    with target.start(out / "server.log") as server:
        capacities = [capacity_per_s(target, server.url, out / "capacity", _CAPACITY_S)]
        found = []
        for times in TIMES:
            folder = out / f"times-{times}"
            profile = open_loop(times * capacities[-1], duration_s, _WARM_UP_S)
            with watched(server, after_s=_WARM_UP_S) as memory:
                summary = under(target, server.url, profile, folder)
            capacities.append(capacity_per_s(target, server.url, out / f"capacity-{times}", _CAPACITY_S))
            name = f"{times} times the capacity"
            found += judged(name, how, summary, outcomes_in(folder), fmean(capacities[-2:]))
            found.append(_memory(name, how, memory))
    return [Measurement.median("capacity", capacities, "1/s", how), *found]


def judged(
    name: str, how: str, summary: Summary, outcomes: Sequence[Outcome], capacity_per_s: float
) -> list[Measurement]:
    """What became of the requests of a load beyond this capacity."""
    refusals = [refusal.latency_ms for refusal in refused(outcomes, 429, 503)]
    p99_ms = float(np.percentile(refusals, 99)) if refusals else 0.0
    silent = len(outcomes) - len(answered(outcomes)) - len(refusals)
    goodput = 100 * summary.good_per_s / capacity_per_s
    lag_ms, p50_ms = summary.lag.p99_ms or 0.0, summary.latency.p50_ms or 0.0
    return [
        Measurement.single(f"{name}: goodput", goodput, "% of capacity", how, n=summary.good, at_least=90),
        Measurement.single(f"{name}: p50 of an answer", p50_ms, "ms", how, n=summary.answered),
        Measurement.single(f"{name}: p99 of a refusal", p99_ms, "ms", how, n=len(refusals), at_most=20),
        Measurement.single(f"{name}: without an answer", silent, "requests", how, n=len(outcomes), at_most=0),
        Measurement.single(f"{name}: p99 lateness of the generator", lag_ms, "ms", how, n=summary.lag.n),
    ]


def _memory(name: str, how: str, memory: Memory) -> Measurement:
    label = f"{name}: memory to either side"
    return Measurement.single(label, memory.swing, "%", how, n=len(memory.mib), at_most=5)
