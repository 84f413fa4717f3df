"""The figures of one run, from its outcomes: scores by group beside their baseline, failures apart, lens, latency."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from clients.replay.errors import ReplayError
from clients.replay.gold import as_text
from clients.replay.latency import Percentiles, percentiles
from clients.replay.lens_metrics import LensFigures, lens_figures
from clients.replay.outcomes import Failed, Outcomes, Scored, read_outcomes
from clients.replay.record import RunFolder, RunRecord
from clients.replay.scoring.metrics import Metric, majority
from clients.replay.tasks import TASKS
from clients.replay.tasks.task import Grouping, Task


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's mean, and what answering the group's commonest gold answer every time would have scored.

    ``baseline`` is None where every gold answer of the group is the same because that is what the group is.
    """

    metric: str
    value: float
    baseline: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one group of ``n`` answers.

    ``question`` is the first of them, as an example; ``majority`` is the commonest gold answer, None as a baseline is.
    """

    group: str
    question: str
    n: int
    majority: str | None
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The groups of one grouping; a ``detail`` is folded away."""

    key: str
    title: str
    detail: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many questions got lost in one way; ``example`` is one message."""

    failure: str
    n: int
    example: str


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything a report says of one run; ``overall`` is None if nothing was answered.

    ``torn_lines`` counts a last line that a kill cut short, ``truncated`` the answers that hit the token limit.
    """

    name: str
    record: RunRecord
    answered: int
    failed: int
    torn_lines: int
    truncated: int
    overall: Row | None
    tables: tuple[Table, ...]
    failures: tuple[FailureCount, ...]
    latency: tuple[Percentiles, ...]
    lens: LensFigures | None

    @property
    def task(self) -> Task:
        """The run's task."""
        return TASKS[self.record.task]

    @property
    def unasked(self) -> int:
        """Questions of the selection without an outcome: the run was stopped."""
        return max(self.record.selection.questions - self.answered - self.failed, 0)

    @property
    def answers_per_s(self) -> float | None:
        """Answers over the run's whole time; None for a run that was killed."""
        return self.answered / self.record.wall_s if self.record.wall_s else None


def load_run(path: Path) -> tuple[RunRecord, Outcomes]:
    """What a run folder holds.

    Raises:
        ReplayError: it is no run folder, or one of a task that is not known here.
    """
    folder = RunFolder(path)
    record, outcomes = folder.read_record(), read_outcomes(folder.outcomes)
    if record.task not in TASKS:
        message = f"{path} is a run of task {record.task!r}, which this version does not know."
        raise ReplayError(message)
    return record, outcomes


def compute(name: str, record: RunRecord, outcomes: Outcomes) -> RunReport:
    """The figures of one run."""
    task = TASKS[record.task]
    return RunReport(
        name=name,
        record=record,
        answered=len(outcomes.scored),
        failed=len(outcomes.failed),
        torn_lines=outcomes.torn,
        truncated=sum(outcome.finish_reason == "length" for outcome in outcomes.scored),
        overall=_row("all", outcomes.scored, task.metrics) if outcomes.scored else None,
        tables=tuple(_tables(task, outcomes.scored)),
        failures=_failures(outcomes.failed),
        latency=percentiles(outcomes.scored),
        lens=lens_figures(outcomes.scored),
    )


def _tables(task: Task, outcomes: Sequence[Scored]) -> Iterable[Table]:
    for grouping in task.groupings:
        groups = _grouped(outcomes, grouping.key)
        if len(groups) > 1:
            names = sorted(groups, key=_order(grouping))
            rows = tuple(_row(name, groups[name], task.metrics, baseline=grouping.key != "gold") for name in names)
            yield Table(grouping.key, grouping.title, grouping.detail, rows)


def _grouped(outcomes: Sequence[Scored], key: str) -> dict[str, list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for outcome in outcomes:
        own = {"answer_type": outcome.answer_type.value, "gold": as_text(outcome.gold)}
        group = own.get(key) or outcome.labels.get(key)
        if group is not None:
            groups.setdefault(group, []).append(outcome)
    return groups


def _order(grouping: Grouping) -> Callable[[str], tuple[int, int, str]]:
    def key(group: str) -> tuple[int, int, str]:
        place = grouping.order.index(group) if group in grouping.order else len(grouping.order)
        return place, int(group) if group.isdecimal() else 0, group

    return key


def _row(group: str, outcomes: Sequence[Scored], metrics: Sequence[Metric], *, baseline: bool = True) -> Row:
    constant = majority(outcome.gold for outcome in outcomes) if baseline else None
    scores = (_score(metric, outcomes, constant) for metric in metrics)
    return Row(group, outcomes[0].question, len(outcomes), constant, tuple(scores))


def _score(metric: Metric, outcomes: Sequence[Scored], constant: str | None) -> Score:
    value = fmean(metric.score(outcome.answer, outcome.gold, outcome.answer_type) for outcome in outcomes)
    if constant is None:
        return Score(metric.name, value, None)
    baseline = fmean(metric.score(constant, outcome.gold, outcome.answer_type) for outcome in outcomes)
    return Score(metric.name, value, baseline)


def _failures(failed: Sequence[Failed]) -> tuple[FailureCount, ...]:
    names = [_failure_name(outcome) for outcome in failed]
    examples = dict(zip(reversed(names), (outcome.failure.message for outcome in reversed(failed)), strict=True))
    return tuple(FailureCount(name, count, examples[name]) for name, count in Counter(names).most_common())


def _failure_name(outcome: Failed) -> str:
    failure = outcome.failure
    return " ".join(str(part) for part in (failure.kind.value, failure.status, failure.code) if part is not None)
