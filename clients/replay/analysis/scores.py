"""The measurements of one run, from its columns: scores by group with baselines, failures, lens and latency."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.replay.analysis.bootstrap import ClusterBootstrap, Interval, share_interval
from clients.replay.analysis.columns import FailureCount, RunColumns, read_columns
from clients.replay.analysis.counts import CountMeasurements, measure_counts
from clients.replay.analysis.latency import LatencyMeasurements, measure_latency
from clients.replay.analysis.lens import LensMeasurements, measure_lens
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunRecord
from clients.replay.scoring.gold import AnswerType
from clients.replay.scoring.metrics import majority
from clients.replay.tasks import TASKS
from clients.replay.tasks.task import Grouping, Task

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's mean with its 95 % interval, and the baseline: always giving the group's most common gold answer.

    ``baseline`` is None where all gold answers of the group are equal by definition of the group.
    """

    metric: str
    value: float
    low: float
    high: float
    baseline: float | None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The scores of one group of ``n`` answers about ``pictures`` images.

    ``question`` is the first, as an example; ``majority`` is the most common gold answer, None where ``baseline`` is.
    """

    group: str
    question: str
    n: int
    pictures: int
    majority: str | None
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The groups of one grouping; a ``detail`` table is collapsed."""

    key: str
    title: str
    detail: bool
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything a report says about one run; ``overall`` is None if nothing was answered.

    ``macro`` is the unweighted mean over the groups of the task's ``macro`` grouping. ``torn_lines`` is 1 if a kill cut
    the last line short; ``truncated`` counts the answers that hit the token limit.
    """

    name: str
    record: RunRecord
    answered: int
    failed: int
    torn_lines: int
    truncated: int
    overall: ScoreRow | None
    macro: ScoreRow | None
    tables: tuple[Table, ...]
    failures: tuple[FailureCount, ...]
    latency: LatencyMeasurements | None
    lens: LensMeasurements | None
    counts: CountMeasurements | None
    pictures_sha256: str

    @property
    def task(self) -> Task:
        """The run's task."""
        return TASKS[self.record.task]

    @property
    def unasked(self) -> int:
        """Number of questions without an outcome, because the run was interrupted."""
        return max(self.record.questions - self.answered - self.failed, 0)


def load_run(path: Path) -> tuple[RunRecord, RunColumns]:
    """Read a run folder.

    Raises:
        ReplayError: it is not a run folder, or the run is of an unknown task.
    """
    record = RunFolder(path).read_record()
    if record.task not in TASKS:
        message = f"{path} is a run of task {record.task!r}, which this version does not know."
        raise ReplayError(message)
    return record, read_columns(path, TASKS[record.task], record.load)


def compute(name: str, record: RunRecord, columns: RunColumns, seed: int) -> RunReport:
    """The measurements of one run."""
    task = TASKS[record.task]
    bootstrap = ClusterBootstrap(columns.pictures.codes, seed)  # one set of resamples for every interval
    scorer = _Scorer(task, columns, bootstrap)
    return RunReport(
        name=name,
        record=record,
        answered=columns.n,
        failed=columns.failed,
        torn_lines=columns.torn,
        truncated=columns.truncated,
        overall=scorer.overall() if columns.n else None,
        macro=scorer.macro() if columns.n else None,
        tables=tuple(scorer.tables()),
        failures=columns.failures,
        latency=measure_latency(columns, bootstrap, record.load.deadline_ms if record.load else None),
        lens=measure_lens(columns, bootstrap),
        counts=measure_counts(columns, bootstrap),
        pictures_sha256=columns.pictures_sha256,
    )


class _Scorer:
    """Mean scores of groups, with intervals from one set of resamples."""

    def __init__(self, task: Task, columns: RunColumns, bootstrap: ClusterBootstrap) -> None:
        self._task = task
        self._columns = columns
        self._bootstrap = bootstrap
        self._scores = tuple(columns.scores[metric.name] for metric in task.metrics)

    def overall(self) -> ScoreRow:
        mask = np.ones(self._columns.n, np.bool_)
        (means,) = self._means([mask])
        return self._row("all", next(iter(self._columns.examples.values()), ""), mask, means)

    def tables(self) -> Iterable[Table]:
        for grouping in self._task.groupings:
            groups = self._groups(grouping)
            if len(groups) > 1:
                yield Table(grouping.key, grouping.title, grouping.detail, self._rows(grouping, groups))

    def macro(self) -> ScoreRow | None:
        """The unweighted mean over groups of scores and of baselines."""
        grouping = next((entry for entry in self._task.groupings if entry.key == self._task.macro), None)
        groups = self._groups(grouping) if grouping else {}
        if grouping is None or len(groups) < 2:  # noqa: PLR2004 - a mean over one group is that group
            return None
        means = np.nanmean(np.stack(self._means(list(groups.values()))), axis=0)
        rows = self._rows(grouping, groups)
        fewest = min(row.pictures for row in rows)  # if resampling cannot vary, as certain as the smallest type
        scores = []
        for place, metric in enumerate(self._task.metrics):
            value = float(np.mean([row.scores[place].value for row in rows]))
            limits = share_interval(means[:, place], value, fewest)
            against = float(np.mean([row.scores[place].baseline or 0.0 for row in rows]))
            scores.append(Score(metric.name, value, *limits, against))
        return ScoreRow(f"mean over {len(rows)} types", "", self._columns.n, self._bootstrap.count, None, tuple(scores))

    def _groups(self, grouping: Grouping) -> dict[str, NDArray[np.bool_]]:
        coded = self._columns.groups[grouping.key]
        present = np.unique(coded.codes[coded.codes >= 0])
        names = sorted((coded.names[code] for code in present), key=_order(grouping))
        return {name: coded.codes == coded.names.index(name) for name in names}

    def _rows(self, grouping: Grouping, groups: dict[str, NDArray[np.bool_]]) -> tuple[ScoreRow, ...]:
        all_means, example = self._means(list(groups.values())), self._columns.examples
        return tuple(
            self._row(name, example[grouping.key, name], mask, means, baseline=grouping.key != "gold")
            for (name, mask), means in zip(groups.items(), all_means, strict=True)
        )

    def _means(self, masks: Sequence[NDArray[np.bool_]]) -> list[_Floats]:
        """The mean of every metric in every resample, (resamples, metrics) per group."""
        columns = (column * mask for mask in masks for column in (*self._scores, np.ones(self._columns.n)))
        totals = self._bootstrap.totals(columns).reshape(-1, len(masks), len(self._scores) + 1)
        with np.errstate(invalid="ignore"):  # a resample may have nothing of a group
            means = totals[:, :, :-1] / totals[:, :, -1:]
        return [means[:, place] for place in range(len(masks))]

    def _row(
        self, group: str, question: str, mask: NDArray[np.bool_], means: _Floats, *, baseline: bool = True
    ) -> ScoreRow:
        golds = Counter(zip(self._columns.gold[mask].tolist(), self._columns.type.codes[mask].tolist(), strict=True))
        constant = majority({self._columns.golds[gold]: n for (gold, _), n in golds.items()}) if baseline else None
        pictures = self._bootstrap.clusters_of(mask)
        scores = []
        for place, metric in enumerate(self._task.metrics):
            value = float(self._scores[place][mask].mean())
            limits: Interval = share_interval(means[:, place], value, pictures)
            against = None if constant is None else self._baseline(metric.score, constant, golds)
            scores.append(Score(metric.name, value, *limits, against))
        return ScoreRow(group, question, int(mask.sum()), pictures, constant, tuple(scores))

    def _baseline(self, score: Callable[..., float], constant: str, golds: Counter[tuple[int, int]]) -> float:
        names, types = self._columns.golds, self._columns.type.names
        right = sum(n * score(constant, names[gold], AnswerType(types[kind])) for (gold, kind), n in golds.items())
        return right / golds.total()


def _order(grouping: Grouping) -> Callable[[str], tuple[int, int, str]]:
    def key(group: str) -> tuple[int, int, str]:
        place = grouping.order.index(group) if group in grouping.order else len(grouping.order)
        return place, int(group) if group.isdecimal() else 0, group

    return key
