"""What makes a dataset a task: how it is read, how it is scored, and what its results are grouped by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.replay.scoring.gold import AnswerType
from clients.replay.scoring.metrics import Metric
from clients.replay.tasks.sample import Sample, SkippedEntry, Split

ImageSource = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Grouping:
    """A table of the report: outcomes with the same value of ``key`` make a row.

    ``key`` is one of the task's own labels, or ``answer_type`` or ``gold``, which every outcome has. Rows come in
    ``order``; those it does not name follow, numbers by value, words by the alphabet. A ``detail`` is folded away.
    """

    key: str
    title: str
    order: tuple[str, ...] = ()
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A dataset that can be replayed.

    ``scan`` yields what a split holds, entry by entry, so that nobody need hold it whole; ``pictures`` opens the data
    folder's images, to be read by their ``image_key`` (an ``OSError`` if one cannot be). ``headline`` is the one
    score that stands for a whole run; by ``verdict`` one answer counts as right (it scores 1). ``macro`` is the
    grouping whose groups weigh alike in the macro mean, None where there is no such mean.
    """

    name: str
    title: str
    splits: tuple[Split, ...]
    scan: Callable[[Path, Split], Iterator[Sample | SkippedEntry]]
    pictures: Callable[[Path], ImageSource]
    headline: Metric
    verdict: Metric
    metrics: tuple[Metric, ...]
    groupings: tuple[Grouping, ...]
    macro: str | None = None


ANSWER_TYPE: Final = Grouping("answer_type", "By type of answer", tuple(kind.value for kind in AnswerType))
