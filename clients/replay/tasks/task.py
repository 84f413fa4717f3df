"""What makes a data set a task: how it is loaded, how it is scored, and what its results are grouped by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.replay.gold import AnswerType
from clients.replay.scoring.metrics import Metric
from clients.replay.tasks.sample import Loaded, Split


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
    """A data set that can be replayed.

    ``headline`` is the one score that stands for a whole run; by ``verdict`` one answer counts as right (it scores 1).
    """

    name: str
    title: str
    load: Callable[[Path, Split], Loaded]
    headline: Metric
    verdict: Metric
    metrics: tuple[Metric, ...]
    groupings: tuple[Grouping, ...]


ANSWER_TYPE: Final = Grouping("answer_type", "By type of answer", tuple(kind.value for kind in AnswerType))
