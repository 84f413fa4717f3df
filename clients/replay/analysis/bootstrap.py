"""Intervals by resampling images: questions about one image share its difficulty, so they are resampled together.

A cluster bootstrap (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8): each resample
draws as many images as there are, with replacement, and takes all questions of each. ``scipy.stats.bootstrap`` handles
one such statistic at a time; here one set of resamples serves hundreds of means at once, as a matrix product, and the
differences between two runs and a macro mean over groups use the same resamples.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
LEVEL: Final = 0.95
_BATCH: Final = 50
_ALL: Final = slice(None)

Interval = tuple[float, float]


class ClusterBootstrap:
    """Resamples of ``count`` clusters; ``clusters`` (n,) numbers the cluster of each outcome. Deterministic by seed."""

    def __init__(self, clusters: NDArray[np.int32], seed: int, resamples: int = RESAMPLES) -> None:
        names, self.clusters = np.unique(clusters, return_inverse=True)
        self._seed = seed
        self._resamples = resamples
        self.count = int(names.size)

    @cached_property
    def _weights(self) -> NDArray[np.uint8]:
        """Count of each cluster in each resample, (resamples, clusters); counts over 255 are practically impossible."""
        draw = np.random.default_rng(self._seed)
        weights = np.empty((self._resamples, self.count), np.uint8)
        for row in weights:
            row[:] = np.bincount(draw.integers(self.count, size=self.count), minlength=self.count)
        return weights

    def totals(
        self, columns: Iterable[NDArray[np.float64]], rows: NDArray[np.int64] | slice = _ALL
    ) -> NDArray[np.float64]:
        """The sum of each column (n,), or of each column over ``rows`` only, in each resample.

        (resamples, columns)
        """
        clusters = self.clusters[rows]
        sums = [np.bincount(clusters, weights=column, minlength=self.count) for column in columns]
        per_cluster = np.stack(sums, axis=1)
        batches = (self._weights[start : start + _BATCH] for start in range(0, self._resamples, _BATCH))
        return np.concatenate([batch.astype(np.float64) @ per_cluster for batch in batches])

    def quantiles(self, values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantiles of ``values`` (n,) in each resample, (resamples, levels), without interpolation."""
        order = np.argsort(values)
        ordered, owners = values[order], self.clusters[order]
        found = np.empty((self._resamples, len(levels)))
        for place, weights in enumerate(self._weights):
            below = np.cumsum(weights[owners], dtype=np.int64)
            found[place] = ordered[np.searchsorted(below, levels * below[-1])]
        return found

    def clusters_of(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> int:
        """How many clusters these outcomes, given by a mask or by row numbers, belong to."""
        return int(np.unique(self.clusters[rows]).size)


def interval(statistics: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """The central 95 %, or ``level``, of a statistic over the resamples, ignoring those in which it is undefined."""
    known = statistics[np.isfinite(statistics)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(statistics: NDArray[np.float64], value: float, clusters: int) -> Interval:
    """The interval of a mean of scores from 0 to 1 over ``clusters`` images.

    If all scores are 0, or all are 1, resampling cannot vary them, so the exact interval is used instead.
    """
    return exact_interval(value, clusters) if value in {0.0, 1.0} else interval(statistics)


def exact_interval(value: float, trials: int, level: float = LEVEL) -> Interval:
    """The Clopper-Pearson interval of a share of 0 or 1 in ``trials`` trials, where it has a closed form."""
    reach = 1 - ((1 - level) / 2) ** (1 / trials)
    return (0.0, reach) if value == 0 else (1 - reach, 1.0)
