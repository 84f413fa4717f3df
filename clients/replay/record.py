"""The run folder: what lies where, and ``run.json``, which says what it takes to repeat the run.

::

    RUN/
    ├── run.json          what was asked of whom, with which options, on which machine
    ├── outcomes.jsonl    one line per question, in the order the answers came
    └── pictures/         small copies of some pictures, for a report's examples
"""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clients.replay.errors import ReplayError
from clients.replay.tasks.sample import Problem, Split
from services.common.schemas import ModelCard

_PACKAGES: Final = ("tallyglass", "httpx", "pydantic", "pillow")


class RunStatus(StrEnum):
    """How far a run came; one still ``running`` long after its start was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Selection(_Record):
    """Which questions were asked: ``sha256`` is over their ids, pictures' names, questions and gold answers."""

    split: Split
    limit: int | None = None
    seed: int
    questions: int
    pictures: int
    sha256: str


class Machine(_Record):
    """Where the client ran; the service's, too, if the URL is a loopback one."""

    cpu: str
    cores: int
    system: str

    @classmethod
    def this(cls) -> "Machine":
        """The machine that this runs on."""
        return cls(cpu=_cpu_name(), cores=os.cpu_count() or 1, system=f"{platform.system()} {platform.machine()}")


class Warmup(_Record):
    """One question about a blank picture, asked before the clock starts: no latency figure holds a first call."""

    question: str
    latency_ms: float


class Load(_Record):
    """How a load test offered its requests; None where its profile does not say."""

    profile: str | None = None
    offered_rate_per_s: float | None = None
    deadline_ms: float | None = None
    users: int | None = None


class RunRecord(_Record):
    """Contents of ``run.json``."""

    task: str
    data: str = Field(description="Name of the data folder.")
    selection: Selection
    url: str
    concurrency: int
    lens: bool
    max_patches: int | None = None
    timeout_s: float
    server: ModelCard
    warm_up: Warmup | None = None
    versions: dict[str, str]
    machine: Machine
    started: datetime
    ended: datetime | None = None
    status: RunStatus = RunStatus.RUNNING
    problems: tuple[Problem, ...] = ()
    load: Load | None = None

    @property
    def wall_s(self) -> float | None:
        """Seconds from the first question to the last answer; None for a run that was killed."""
        return (self.ended - self.started).total_seconds() if self.ended else None

    def finished(self, status: RunStatus) -> "RunRecord":
        """The record of this run, ended now."""
        return self.model_copy(update={"status": status, "ended": now()})


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def record(self) -> Path:
        """``run.json``."""
        return self.path / "run.json"

    @property
    def outcomes(self) -> Path:
        """``outcomes.jsonl``."""
        return self.path / "outcomes.jsonl"

    @property
    def pictures(self) -> Path:
        """The folder of kept pictures."""
        return self.path / "pictures"

    def require_free(self) -> None:
        """Refuse a folder that holds a run: two runs in one file could not be told apart.

        Raises:
            ReplayError: it does.
        """
        if self.outcomes.exists() or self.record.exists():
            message = f"{self.path} already holds a run. Name another folder with --out, or remove this one first."
            raise ReplayError(message)

    def create(self) -> None:
        """Make the folder, and the one of pictures in it.

        Raises:
            ReplayError: it cannot be made.
        """
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{self.path} cannot be made: {error.strerror}. Name another folder with --out."
            raise ReplayError(message) from error

    def write_record(self, record: RunRecord) -> None:
        """Write ``run.json``, whole or not at all.

        Raises:
            ReplayError: it cannot be written.
        """
        draft = self.record.with_suffix(".json.part")
        try:
            draft.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
            draft.replace(self.record)
        except OSError as error:
            message = f"{self.record} cannot be written: {error.strerror}."
            raise ReplayError(message) from error

    def read_record(self) -> RunRecord:
        """Read ``run.json``.

        Raises:
            ReplayError: there is none, or it is none of ours.
        """
        try:
            return RunRecord.model_validate_json(self.record.read_bytes())
        except OSError as error:
            message = f"{self.path} holds no run ({error.strerror}: {self.record.name}). Give folders that `run` made."
            raise ReplayError(message) from error
        except ValidationError as error:
            message = f"{self.record} is no record of a run: {error.errors()[0]['msg']}."
            raise ReplayError(message) from error


def now() -> datetime:
    """The time, to the millisecond, in UTC."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def client_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the client's behaviour hangs on."""
    return {"python": platform.python_version()} | {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
