"""Counting errors: root mean square error and confusion matrix over a run's counting questions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import ClusterBootstrap, Interval, interval
from clients.replay.analysis.columns import NO_COUNT, RunColumns

LARGEST: Final = 15  # TallyQA's answers are 0 to 15


@dataclass(frozen=True, slots=True)
class CountMeasurements:
    """Counts against gold counts.

    ``rmse`` is over the ``n`` answers that spell a number; ``unread`` answers do not, and have no error.
    ``rmse_baseline`` is that of always answering the most common gold count. ``confusion[g][a]`` counts gold g answered
    by a, 0 to 15; the last column is for larger numbers and no number.
    """

    n: int
    unread: int
    rmse: float
    rmse_interval: Interval
    rmse_baseline: float
    confusion: tuple[tuple[int, ...], ...]


def measure_counts(columns: RunColumns, bootstrap: ClusterBootstrap) -> CountMeasurements | None:
    """Measurements over the counting questions; None if there are none, or no answer spells a number."""
    counting = columns.wanted != NO_COUNT
    read = counting & (columns.count != NO_COUNT)
    if not read.any():
        return None
    wanted, answered = columns.wanted[read], columns.count[read]
    squares = (answered - wanted).astype(np.float64) ** 2
    totals = bootstrap.totals([squares, np.ones(len(squares))], np.flatnonzero(read))
    with np.errstate(invalid="ignore"):  # a resample may have none of these questions
        squared = totals[:, 0] / totals[:, 1]
    golds, counts = np.unique(columns.wanted[counting], return_counts=True)
    constant = golds[counts.argmax()]
    return CountMeasurements(
        n=len(squares),
        unread=int(counting.sum() - read.sum()),
        rmse=float(np.sqrt(squares.mean())),
        rmse_interval=interval(np.sqrt(squared)),
        rmse_baseline=float(np.sqrt(np.mean((columns.wanted[counting] - constant).astype(np.float64) ** 2))),
        confusion=_confusion(columns.wanted[counting], columns.count[counting]),
    )


def _confusion(wanted: NDArray[np.int64], given: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    known = (given >= 0) & (given <= LARGEST)
    inside = wanted <= LARGEST
    table = np.zeros((LARGEST + 1, LARGEST + 2), np.int64)
    np.add.at(table, (wanted[inside], np.where(known, given, LARGEST + 1)[inside]), 1)
    return tuple(tuple(row.tolist()) for row in table)
