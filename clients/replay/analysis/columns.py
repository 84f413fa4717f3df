"""A run's outcomes as columns: one pass over the file, numbers in arrays, each text stored once.

A run may have hundreds of thousands of outcomes, each with a trace of many layers: as objects they would take
gigabytes. The few outcomes that a report shows in full are read again, by ``offsets``.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.lens_columns import LensColumns, LensGatherer
from clients.replay.run.folder import RunFolder, kept_path
from clients.replay.run.outcomes import Failed, OutcomeReader, Scored
from clients.replay.run.record import Load
from clients.replay.scoring.counting import read_count
from clients.replay.scoring.gold import AnswerType, Gold, as_text
from clients.replay.tasks.task import Task

NO_COUNT: Final = -1

_NUMBERS: Final[Mapping[str, Callable[[Scored], float | None]]] = {
    "queue": lambda outcome: outcome.timing.queue_ms,
    "preprocess": lambda outcome: outcome.timing.preprocess_ms,
    "inference": lambda outcome: outcome.timing.inference_ms,
    "total": lambda outcome: outcome.timing.total_ms,
    "client": lambda outcome: outcome.latency_ms,
    "waited": lambda outcome: outcome.waited_ms,
    "attempts": lambda outcome: outcome.attempts,
    "sent_at_s": lambda outcome: outcome.sent_at_s,
    "intended_at_s": lambda outcome: outcome.intended_at_s,
    "turn": lambda outcome: outcome.turn,
    "image_tokens": lambda outcome: outcome.usage.image_tokens,
    "completion_tokens": lambda outcome: outcome.usage.completion_tokens,
}
"""The numbers stored for each scored outcome."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of text as numbers: ``names[codes[i]]`` is the text of outcome i, -1 where it has none."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many questions failed in one way; ``example`` is one of the messages."""

    failure: str
    n: int
    example: str


@dataclass(frozen=True, slots=True)
class RunColumns:
    """The n scored outcomes of a run, column by column, and counts of the failed ones.

    ``scores`` has each metric's scores, from 0 to 1; ``groups`` the column of each grouping; ``examples`` the first
    question of each group. ``shown`` marks outcomes whose image the run kept; ``pictures_sha256`` is over the checksums
    of all images. ``count`` is the number that the answer spells, ``NO_COUNT`` if none, ``wanted`` the gold count.
    ``numbers`` has milliseconds, seconds and token counts, NaN where unknown.
    """

    ids: tuple[str, ...]
    offsets: NDArray[np.int64]
    pictures: Coded
    golds: tuple[Gold, ...]
    gold: NDArray[np.int32]
    type: Coded
    scores: Mapping[str, NDArray[np.float64]]
    groups: Mapping[str, Coded]
    examples: Mapping[tuple[str, str], str]
    count: NDArray[np.int64]
    wanted: NDArray[np.int64]
    numbers: Mapping[str, NDArray[np.float64]]
    hits: NDArray[np.bool_]
    truncated: int
    shown: NDArray[np.bool_]
    lens: LensColumns | None
    failures: tuple[FailureCount, ...]
    pictures_sha256: str
    torn: int

    @property
    def n(self) -> int:
        """Number of answered questions."""
        return len(self.ids)

    @property
    def failed(self) -> int:
        """Number of questions without an answer."""
        return sum(failure.n for failure in self.failures)


def read_columns(path: Path, task: Task, load: Load | None = None) -> RunColumns:
    """Read a run folder's outcomes. If an id occurs twice, the later line counts, except in a load test.

    Raises:
        ReplayError: the file is missing or broken.
    """
    folder = RunFolder(path)
    reader, gatherer = OutcomeReader(folder.outcomes), _Gatherer(task, folder, one_per_id=load is None)
    for offset, outcome in reader:
        gatherer.add(offset, outcome)
    return gatherer.columns(reader.torn)


class _Coder:
    """Numbers texts in order of first occurrence."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes = array("i")

    def add(self, text: str | None) -> None:
        self._codes.append(-1 if text is None else self._numbers.setdefault(text, len(self._numbers)))

    def coded(self, rows: NDArray[np.int64]) -> Coded:
        return Coded(np.array(self._codes, np.int32)[rows], tuple(self._numbers))


class _Gatherer:
    def __init__(self, task: Task, folder: RunFolder, *, one_per_id: bool) -> None:
        self._task = task
        self._one_per_id = one_per_id
        self._kept = {path.name for path in folder.pictures.glob("*.webp")}
        self._images_folder = folder.pictures
        self._rows: dict[str, int] = {}  # the row that counts for each id
        self._failures: dict[str, tuple[str, str]] = {}
        self._ids: list[str] = []
        self._offsets, self._gold = array("q"), array("i")
        self._count, self._wanted = array("q"), array("q")
        self._hits, self._shown, self._cut = array("b"), array("b"), array("b")
        self._golds: dict[Gold, int] = {}
        self._sums: dict[str, str] = {}
        self._images, self._types = _Coder(), _Coder()
        self._scores = {metric.name: array("d") for metric in task.metrics}
        self._groups = {grouping.key: _Coder() for grouping in task.groupings}
        self._examples: dict[tuple[str, str], str] = {}
        self._numbers = {name: array("d") for name in _NUMBERS}
        self._lens = LensGatherer()
        self._score = lru_cache(maxsize=1 << 16)(self._scores_of)

    def add(self, offset: int, outcome: Scored | Failed) -> None:
        name = outcome.sample_id if self._one_per_id else f"{outcome.sample_id}@{offset}"
        self._failures.pop(name, None)
        self._rows.pop(name, None)
        if isinstance(outcome, Failed):
            self._failures[name] = (_failure_name(outcome), outcome.failure.message)
            return
        self._rows[name] = len(self._ids)
        self._ids.append(name)
        self._add_scored(offset, outcome)

    def _add_scored(self, offset: int, outcome: Scored) -> None:
        self._offsets.append(offset)
        self._images.add(outcome.image)
        self._types.add(outcome.answer_type.value)
        self._gold.append(self._golds.setdefault(outcome.gold, len(self._golds)))
        scores = self._score(outcome.answer, outcome.gold, outcome.answer_type)
        for column, score in zip(self._scores.values(), scores, strict=True):
            column.append(score)
        self._add_groups(outcome)
        self._add_numbers(outcome)
        counting = outcome.answer_type is AnswerType.COUNT
        self._count.append(_count(outcome.answer) if counting else NO_COUNT)
        self._wanted.append(_count(as_text(outcome.gold)) if counting else NO_COUNT)
        self._hits.append(outcome.cache == "hit")
        self._cut.append(outcome.finish_reason == "length")
        sha256 = outcome.image_sha256
        self._sums[outcome.image] = sha256 or ""
        self._shown.append(sha256 is not None and kept_path(self._images_folder, sha256).name in self._kept)
        if outcome.lens and counting:
            self._lens.add(len(self._ids) - 1, outcome.lens)

    def _scores_of(self, answer: str, gold: Gold, answer_type: AnswerType) -> tuple[float, ...]:
        return tuple(metric.score(answer, gold, answer_type) for metric in self._task.metrics)

    def _add_groups(self, outcome: Scored) -> None:
        for key, coder in self._groups.items():
            group = group_of(outcome, key)
            coder.add(group)
            if group is not None:
                self._examples.setdefault((key, group), outcome.question)

    def _add_numbers(self, outcome: Scored) -> None:
        for name, read in _NUMBERS.items():
            value = read(outcome)
            self._numbers[name].append(float("nan") if value is None else value)

    def columns(self, torn: int) -> RunColumns:
        rows = np.array(list(self._rows.values()), np.int64)
        return RunColumns(
            ids=tuple(self._ids[row] for row in rows),
            offsets=np.array(self._offsets, np.int64)[rows],
            pictures=self._images.coded(rows),
            golds=tuple(self._golds),
            gold=np.array(self._gold, np.int32)[rows],
            type=self._types.coded(rows),
            scores={name: np.array(column)[rows] for name, column in self._scores.items()},
            groups={key: coder.coded(rows) for key, coder in self._groups.items()},
            examples=self._examples,
            count=np.array(self._count, np.int64)[rows],
            wanted=np.array(self._wanted, np.int64)[rows],
            numbers={name: np.array(column)[rows] for name, column in self._numbers.items()},
            hits=np.array(self._hits, np.bool_)[rows],
            truncated=int(np.array(self._cut, np.bool_)[rows].sum()),
            shown=np.array(self._shown, np.bool_)[rows],
            lens=self._lens.columns(rows),
            failures=_counted(self._failures.values()),
            pictures_sha256=hashlib.sha256("".join(map(str, sorted(self._sums.items()))).encode()).hexdigest(),
            torn=torn,
        )


def group_of(outcome: Scored, key: str) -> str | None:
    """The outcome's group in a grouping; None if it has none."""
    if key == "answer_type":
        return outcome.answer_type.value
    return as_text(outcome.gold) if key == "gold" else outcome.labels.get(key)


def _count(text: str) -> int:
    number = read_count(text)
    return NO_COUNT if number is None else number


def _counted(failures: Iterable[tuple[str, str]]) -> tuple[FailureCount, ...]:
    named = list(failures)
    examples = dict(reversed(named))
    counts = Counter(name for name, _ in named)
    return tuple(FailureCount(name, count, examples[name]) for name, count in counts.most_common())


def _failure_name(outcome: Failed) -> str:
    failure = outcome.failure
    return " ".join(str(part) for part in (failure.kind.value, failure.status, failure.code) if part is not None)
