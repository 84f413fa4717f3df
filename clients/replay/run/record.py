"""``run.json``: what was asked, of which service, with which options, on which machine; enough to repeat the run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from clients.replay.run.machine import Machine
from clients.replay.tasks.criteria import Selection
from clients.replay.tasks.sample import SkippedEntry
from services.wire.answer import ModelCard


class RunStatus(StrEnum):
    """How far a run got; one that is still ``running`` long after its start was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ShardRecord(_Record):
    """This run's part of the selection: every ``count``-th image from the ``index``-th on."""

    index: int
    count: int
    questions: int


class Warmup(_Record):
    """One question about a blank image, asked before the clock starts, so that no latency includes a first call."""

    question: str
    latency_ms: float


class Load(_Record):
    """The load that a load test generated; None where its profile does not say."""

    profile: str | None = None
    offered_rate_per_s: float | None = None
    deadline_ms: float | None = None
    users: int | None = None


class RunRecord(_Record):
    """Contents of ``run.json``.

    ``resumed`` counts how often the run was resumed, ``merged`` the shards that it was merged from. ``problems`` lists
    the first of each kind; ``problem_counts`` counts them all, and ``problems.jsonl`` lists them all.
    """

    task: str
    data: str = Field(description="Name of the data folder.")
    selection: Selection
    shard: ShardRecord | None = None
    merged: int | None = None
    url: str
    concurrency: int
    lens: bool
    max_patches: int | None = None
    max_new_tokens: int | None = None
    prompt: str | None = None
    timeout_s: float
    retries: int = 0
    server: ModelCard
    warm_up: Warmup | None = None
    versions: dict[str, str]
    machine: Machine
    started: datetime
    ended: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    resumed: int = 0
    problems: tuple[SkippedEntry, ...] = ()
    problem_counts: Mapping[str, int] = Field(default_factory=dict)
    load: Load | None = None

    @property
    def wall_s(self) -> float | None:
        """Seconds from the first question to the last answer, pauses between sessions included; None if killed."""
        return (self.ended - self.started).total_seconds() if self.ended else None

    @property
    def questions(self) -> int:
        """Number of questions in this run: its shard's, or the whole selection's."""
        return self.shard.questions if self.shard else self.selection.questions

    @property
    def asked_how(self) -> dict[str, object]:
        """What two sessions or shards of one run must have in common."""
        fields = ("task", "selection", "lens", "max_patches", "max_new_tokens", "prompt", "server")
        return {name: getattr(self, name) for name in fields}

    def taken_up(self) -> "RunRecord":
        """The record of this run, resumed."""
        return self.model_copy(update={"status": RunStatus.RUNNING, "ended": None, "resumed": self.resumed + 1})

    def finished(self, status: RunStatus) -> "RunRecord":
        """The record of this run, ended now."""
        return self.model_copy(update={"status": status, "ended": now()})


def now() -> datetime:
    """The current time in UTC, to the millisecond."""
    return datetime.fromisoformat(datetime.now(UTC).isoformat(timespec="milliseconds"))
