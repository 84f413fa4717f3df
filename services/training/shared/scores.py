"""Shares of right answers with their confidence intervals, as the model cards report them."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from scipy.stats import binomtest

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Score:
    """Share of right answers in percent, with its 95 % Wilson interval."""

    accuracy: float
    low: float
    high: float
    majority: float
    """What always giving the most frequent answer would score."""
    n: int

    @classmethod
    def of(cls, right: Sequence[bool], expected: Sequence[Hashable]) -> Self:
        """The score of answers, from which of them are right and what was expected of each."""
        n, hits = len(right), sum(right)
        low, high = wilson_interval(hits, n)
        most_frequent = Counter(expected).most_common(1)[0][1]
        return cls(100 * hits / n, 100 * low, 100 * high, 100 * most_frequent / n, n)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share, each end from 0 to 1."""
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def percent(hits: Iterable[bool]) -> float:
    """Share of hits, in percent."""
    seen = list(hits)
    return 100 * sum(seen) / len(seen)


def grouped(items: Iterable[_Item], group_of: Callable[[_Item], str]) -> dict[str, list[_Item]]:
    """Items by group, the groups in the order in which they first appear."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)
    return groups
