"""A task is a dataset with how to read it, how to score answers, and how to group results."""

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
    """A table of the report; outcomes with the same value of ``key`` form a row.

    ``key`` is one of the task's own labels, or ``answer_type`` or ``gold``, which every outcome has. Rows are
    in ``order``; any others follow, numbers by value, words alphabetically. A ``detail`` table is collapsed.
    """

    key: str
    title: str
    order: tuple[str, ...] = ()
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A dataset that can be replayed.

    ``scan`` yields the entries of a split one at a time, so that the split never needs to fit in memory; ``pictures``
    returns a reader of the data folder's images by ``image_key`` (raising ``OSError``). ``headline`` is the main score
    of a run; ``verdict`` decides whether an answer is right (it scores 1). ``macro`` is the grouping with equally
    weighted groups in the macro mean, None if there is no such mean.
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


ANSWER_TYPE: Final = Grouping("answer_type", "By answer type", tuple(kind.value for kind in AnswerType))
