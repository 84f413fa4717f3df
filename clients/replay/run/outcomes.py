"""The outcome of each question: ``Scored`` if the service answered, ``Failed`` if it did not, one JSON line each.

They are separate types, so that a failure can never pass for a wrong answer, or the reverse. Whether an answer is
right is not stored: reports compute it, so a metric can be corrected without repeating the run.
"""

import codecs
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clients.replay.errors import ReplayError
from clients.replay.scoring.gold import AnswerType, Gold
from services.wire.answer import Cache, FinishReason, Timing, Usage
from services.wire.lens import LensTrace

Line = TypeVar("Line")


class FailureKind(StrEnum):
    """Where a question failed."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http status"
    BAD_REPLY = "bad reply"
    IMAGE = "picture"


class _Line(BaseModel):
    # Ignore unknown fields, so that folders written by a newer client can be read.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Failure(_Line):
    """Why there is no answer; ``status``, ``code`` and ``retry_after_s`` are from the service, if it sent any."""

    kind: FailureKind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None


class LensLayer(_Line):
    """One layer of a trace: top tokens, entropy in nats, and probability and rank of the emitted token."""

    tokens: tuple[str, ...]
    probs: tuple[float, ...]
    entropy: float
    answer_prob: float
    answer_rank: int


class Lens(_Line):
    """The trace of the first answer token, one entry per layer, rounded to the precision a report shows."""

    token: str
    layers: tuple[LensLayer, ...]

    @classmethod
    def of(cls, trace: LensTrace) -> "Lens | None":
        """The compact form of a trace; None if it has no steps."""
        if not trace.steps:
            return None
        step = trace.steps[0]
        layers = (
            LensLayer(
                tokens=tuple(entry.token for entry in layer.top),
                probs=tuple(round(entry.prob, 4) for entry in layer.top),
                entropy=round(layer.entropy, 4),
                answer_prob=round(layer.answer_prob, 4),
                answer_rank=layer.answer_rank,
            )
            for layer in step.layers
        )
        return cls(token=step.token, layers=tuple(layers))


class _Asked(_Line):
    """What was asked about which image, when, and how long it took.

    ``latency_ms`` is the client's latency of the last attempt, ``waited_ms`` the time spent before it. ``turn`` counts
    the earlier questions of the same process about the same image. Times are seconds since 1970; a load test also
    records when a request was due (``intended_at_s``).
    """

    sample_id: str
    image: str
    image_sha256: str | None = None
    question: str
    gold: Gold
    answer_type: AnswerType
    labels: dict[str, str] = Field(default_factory=dict)
    latency_ms: float
    sent_at_s: float | None = None
    intended_at_s: float | None = None
    attempts: int = 1
    waited_ms: float = 0.0
    turn: int | None = None


class Scored(_Asked):
    """The service answered; the answer can be scored."""

    outcome: Literal["scored"] = "scored"
    answer: str
    finish_reason: FinishReason
    usage: Usage
    timing: Timing
    cache: Cache | None = None
    lens: Lens | None = None


class Failed(_Asked):
    """No answer to score."""

    outcome: Literal["failed"] = "failed"
    failure: Failure


Outcome = Scored | Failed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def read_outcome(fields: Mapping[str, object]) -> Outcome:
    """Validate an outcome; its field ``outcome`` selects the type."""
    return _OUTCOME.validate_python(fields)


class OutcomeWriter:
    """Appends outcomes to a file and flushes each: if the run is killed, only the last line can be incomplete."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # only a line whose write has already raised can be left unflushed
            self._file.close()

    def write(self, outcome: Outcome) -> None:
        """Append one outcome.

        Raises:
            ReplayError: the file cannot be written to.
        """
        try:
            self._file.write(outcome.model_dump_json().encode() + b"\n")
            self._file.flush()
        except OSError as error:
            message = f"{self._file.name} cannot be written to: {error.strerror}."
            raise ReplayError(message) from error


class LineReader(Generic[Line]):
    """Reads a run's file line by line; ``torn`` is 1 once iteration has met a last line cut short by a kill."""

    def __init__(self, path: Path, lines: TypeAdapter[Line]) -> None:
        self._path = path
        self._lines_are = lines
        self.torn = 0

    def __iter__(self) -> Iterator[tuple[int, Line]]:
        """Every outcome, with its offset in the file for ``at``.

        Raises:
            ReplayError: there is no file, or a line other than a torn last one is not an outcome.
        """
        self.torn = offset = 0
        for number, line in enumerate(self._lines(), start=1):
            try:
                yield offset, self._read(line)
            except ValidationError as error:
                if line.endswith(b"\n"):
                    message = f"{self._path}, line {number}, is not an outcome: {error.errors()[0]['msg']}."
                    raise ReplayError(message) from error
                self.torn = 1
            offset += len(line)

    def at(self, offset: int) -> Line:
        """The outcome at an offset that iteration yielded."""
        with self._path.open("rb") as file:
            file.seek(offset)
            return self._read(file.readline())

    def _read(self, line: bytes) -> Line:
        return self._lines_are.validate_json(line.removeprefix(codecs.BOM_UTF8))  # which some editors begin a file with

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                yield from file
        except OSError as error:
            message = f"{self._path} cannot be read ({error.strerror}). Is this a run folder?"
            raise ReplayError(message) from error


class OutcomeReader(LineReader[Outcome]):
    """Reads the outcomes of a replay; those of a load test too, without their extra fields."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _OUTCOME)
