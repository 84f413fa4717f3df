"""Two runs over the same questions: differences with paired tests, question by question.

Right or wrong is tested by McNemar's exact test (1947); everything else by a paired bootstrap, which resamples images
and takes both runs' answers about them. Where several runs are compared with one, intervals and p-values hold for all
comparisons together (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import LEVEL, ClusterBootstrap, Interval, exact_interval, interval
from clients.replay.analysis.columns import NO_COUNT, RunColumns
from clients.replay.errors import ReplayError
from clients.replay.tasks.task import Task

QUANTILES: Final = {"p50": 0.50, "p95": 0.95}


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric over the questions that both runs answered, with the interval of ``other - reference``."""

    metric: str
    reference: float
    other: float
    difference: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 0, which is no difference."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Ratio:
    """A quantile of the client latency in both runs, with the interval of ``other / reference``."""

    quantile: str
    reference_ms: float
    other_ms: float
    ratio: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval excludes 1, which is no difference."""
        return self.low > 1 or self.high < 1


@dataclass(frozen=True, slots=True)
class McNemar:
    """How many questions only one run has right, and the probability of so uneven a split if neither is better."""

    only_reference: int
    only_other: int
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run ``other`` against run ``reference``, over ``n`` questions about ``pictures`` images that both answered.

    ``unpaired`` counts answers that the other run lacks, or has with a different gold answer; ``together`` is how many
    comparisons the intervals and p-values hold for.
    """

    reference: str
    other: str
    n: int
    pictures: int
    unpaired: int
    together: int
    verdict: McNemar
    differences: tuple[Difference, ...]
    latency: tuple[Ratio, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run to compare, with its name."""

    name: str
    columns: RunColumns


def compare(task: Task, reference: Run, others: Sequence[Run], seed: int) -> tuple[Comparison, ...]:
    """Compare each run with the reference; runs that share no question with it are omitted.

    Raises:
        ReplayError: scipy is not installed.
    """
    pairs = ((other, _paired(reference.columns, other.columns)) for other in others)
    return tuple(_compare(task, (reference, other), rows, seed, len(others)) for other, rows in pairs if rows[0].size)


Rows = tuple[NDArray[np.int64], NDArray[np.int64]]


def _paired(reference: RunColumns, other: RunColumns) -> Rows:
    """The rows of the questions that both runs answered, with the same gold answer."""
    place = {name: row for row, name in enumerate(other.ids)}
    rows = [(row, place[name]) for row, name in enumerate(reference.ids) if name in place]
    same = [
        (left, right) for left, right in rows if reference.golds[reference.gold[left]] == other.golds[other.gold[right]]
    ]
    table = np.array(same, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _compare(task: Task, runs: tuple[Run, Run], rows: Rows, seed: int, together: int) -> Comparison:
    reference, other = runs
    left, right = reference.columns, other.columns
    bootstrap = ClusterBootstrap(left.pictures.codes[rows[0]], seed)
    level = 1 - (1 - LEVEL) / together
    verdicts = tuple(run.scores[task.verdict.name][own] == 1 for run, own in zip((left, right), rows, strict=True))
    return Comparison(
        reference=reference.name,
        other=other.name,
        n=len(rows[0]),
        pictures=bootstrap.count,
        unpaired=left.n + right.n - 2 * len(rows[0]),
        together=together,
        verdict=_mcnemar(verdicts[0], verdicts[1], together),
        differences=(*_means(task, left, right, rows, bootstrap, level), *_rmse(left, right, rows, bootstrap, level)),
        latency=_ratios(left, right, rows, bootstrap, level),
    )


def _mcnemar(reference: NDArray[np.bool_], other: NDArray[np.bool_], together: int) -> McNemar:
    try:
        from scipy.stats import binomtest  # noqa: PLC0415 - large, and needed for this test alone
    except ImportError as error:
        message = "compare needs scipy: install the extra, pip install 'tallyglass[replay-compare]'."
        raise ReplayError(message) from error
    only_reference, only_other = int((reference & ~other).sum()), int((other & ~reference).sum())
    discordant = only_reference + only_other
    p = float(binomtest(only_other, discordant).pvalue) if discordant else 1.0
    return McNemar(only_reference, only_other, min(p * together, 1.0))


def _means(
    task: Task, left: RunColumns, right: RunColumns, rows: Rows, bootstrap: ClusterBootstrap, level: float
) -> list[Difference]:
    pairs = [(left.scores[metric.name][rows[0]], right.scores[metric.name][rows[1]]) for metric in task.metrics]
    totals = bootstrap.totals([np.ones(len(rows[0])), *(theirs - ours for ours, theirs in pairs)])
    statistics = totals[:, 1:] / totals[:, :1]
    return [
        _difference(
            metric.name,
            float(ours.mean()),
            float(theirs.mean()),
            interval(statistics[:, place], level) if (ours != theirs).any() else _unvaried(bootstrap, level),
        )
        for place, (metric, (ours, theirs)) in enumerate(zip(task.metrics, pairs, strict=True))
    ]


def _unvaried(bootstrap: ClusterBootstrap, level: float) -> Interval:
    """The interval of a mean difference where no question differs, so that resampling cannot vary it."""
    _, reach = exact_interval(0, bootstrap.count, level)  # of the share of images that differ
    return -reach, reach


def _rmse(
    left: RunColumns, right: RunColumns, rows: Rows, bootstrap: ClusterBootstrap, level: float
) -> list[Difference]:
    """RMSE over the counting questions for which both answers spell a number."""
    wanted, ours, theirs = left.wanted[rows[0]], left.count[rows[0]], right.count[rows[1]]
    read = ((wanted != NO_COUNT) & (ours != NO_COUNT) & (theirs != NO_COUNT)).astype(np.float64)
    if not read.any():
        return []
    squares = [read * (counts - wanted).astype(np.float64) ** 2 for counts in (ours, theirs)]
    totals = bootstrap.totals([read, *squares])
    with np.errstate(invalid="ignore"):  # a resample may have no such question
        errors = np.sqrt(totals[:, 1:] / totals[:, :1])
    own = [float(np.sqrt(column.sum() / read.sum())) for column in squares]
    return [_difference("rmse", own[0], own[1], interval(errors[:, 1] - errors[:, 0], level))]


def _difference(metric: str, ours: float, theirs: float, limits: Interval) -> Difference:
    return Difference(metric, ours, theirs, theirs - ours, *limits)


def _ratios(
    left: RunColumns, right: RunColumns, rows: Rows, bootstrap: ClusterBootstrap, level: float
) -> tuple[Ratio, ...]:
    ours, theirs = left.numbers["client"][rows[0]], right.numbers["client"][rows[1]]
    levels = np.array(list(QUANTILES.values()))
    resampled = bootstrap.quantiles(theirs, levels) / bootstrap.quantiles(ours, levels)
    own, other = np.quantile(ours, levels), np.quantile(theirs, levels)
    limits: list[Interval] = [interval(column, level) for column in resampled.T]
    return tuple(
        Ratio(name, float(own[place]), float(other[place]), float(other[place] / own[place]), *limits[place])
        for place, name in enumerate(QUANTILES)
    )
