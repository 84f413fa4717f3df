"""What a run or a data folder holds, all at once: for small ones, in tests."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.replay.columns import RunColumns, read_columns
from clients.replay.folder import RunFolder
from clients.replay.gold import AnswerType
from clients.replay.index import SampleIndex
from clients.replay.outcomes import Failed, OutcomeReader, OutcomeWriter, Scored
from clients.replay.record import Load
from clients.replay.tasks import TASKS
from clients.replay.tasks.sample import Problem, Sample, Split


@dataclass(frozen=True)
class Outcomes:
    scored: tuple[Scored, ...]
    failed: tuple[Failed, ...]
    torn: int

    @property
    def ids(self) -> Counter[str]:
        return Counter(outcome.sample_id for outcome in (*self.scored, *self.failed))


def read_outcomes(path: Path) -> Outcomes:
    """Every line of an outcomes file."""
    reader = OutcomeReader(path)
    outcomes = [outcome for _, outcome in reader]
    scored = tuple(outcome for outcome in outcomes if isinstance(outcome, Scored))
    return Outcomes(scored, tuple(outcome for outcome in outcomes if isinstance(outcome, Failed)), reader.torn)


@dataclass(frozen=True)
class Loaded:
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]


def load(task: str, data: Path, split: Split = "test") -> Loaded:
    """Everything that a split holds, in the order it would be asked."""
    with SampleIndex(TASKS[task].scan(data, split)) as index:
        return Loaded(tuple(index.samples()), tuple(index.problems()))


def columns(
    folder: Path, outcomes: Sequence[Scored | Failed], task: str = "tallyqa", load: Load | None = None
) -> RunColumns:
    """The columns of these outcomes, by way of a file."""
    with OutcomeWriter(folder / "outcomes.jsonl") as writer:
        for outcome in outcomes:
            writer.write(outcome)
    return read_columns(folder, TASKS[task], load)


def columns_of(path: Path) -> RunColumns:
    """The columns of a run folder."""
    record = RunFolder(path).read_record()
    return read_columns(path, TASKS[record.task], record.load)


def question(name: str, picture: str, **fields: Any) -> Sample:
    """A counting question; keywords replace fields."""
    plain = Sample(name, picture, f"How many {name}?", "3", AnswerType.COUNT, {"script": "Latin"})
    return dataclasses.replace(plain, **fields)


def ids(index: SampleIndex) -> list[str]:
    """The questions that are left, in the order they would be asked."""
    return [sample.id for sample in index.samples()]
