"""What became of each question: ``Scored`` if the service answered, ``Failed`` if it did not, one JSON line each.

The two are different types, so that a failure can never pass for a wrong answer, nor a wrong answer for a failure.
Whether an answer is right is not written: a report computes it, so a metric can be corrected without asking again.
"""

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
    """Where a question got lost."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http status"
    BAD_REPLY = "bad reply"
    IMAGE = "picture"


class _Line(BaseModel):
    # A folder written by a newer client still reads.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Failure(_Line):
    """Why there is no answer; ``status``, ``code`` and ``retry_after_s`` are the service's own, if it said any."""

    kind: FailureKind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None


class LensLayer(_Line):
    """One layer of a trace: its best tokens and their probabilities, its entropy in nats, the emitted token's place."""

    tokens: tuple[str, ...]
    probs: tuple[float, ...]
    entropy: float
    answer_prob: float
    answer_rank: int


class Lens(_Line):
    """The trace of the first answer token, one entry per layer, rounded to what a report can show."""

    token: str
    layers: tuple[LensLayer, ...]

    @classmethod
    def of(cls, trace: LensTrace) -> "Lens | None":
        """The compact form of a trace; None if it has no step."""
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
    """What was asked, of which image, when, and for how long.

    ``latency_ms`` is that of the last attempt, seen from here, ``waited_ms`` everything before it. ``turn`` counts the
    questions about the same image that the same process asked before. Times are seconds since 1970; a load test also
    says when it meant to send (``intended_at_s``).
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
    """There is no answer to score."""

    outcome: Literal["failed"] = "failed"
    failure: Failure


Outcome = Scored | Failed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def read_outcome(fields: Mapping[str, object]) -> Outcome:
    """The outcome of these fields; ``outcome`` tells which of the two it is."""
    return _OUTCOME.validate_python(fields)


class OutcomeWriter:
    """Appends outcomes to a file as they come, each flushed: a killed run leaves every line whole but the last."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # every line was flushed: only one that could not be written is left, and was told of
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
    """Reads a run's file line by line; ``torn`` counts a last line that a kill cut short, once it was met."""

    def __init__(self, path: Path, lines: TypeAdapter[Line]) -> None:
        self._path = path
        self._lines_are = lines
        self.torn = 0

    def __iter__(self) -> Iterator[tuple[int, Line]]:
        """Every outcome, with the place in the file from which ``at`` reads it again.

        Raises:
            ReplayError: there is no file, or a line other than a torn last one is no outcome.
        """
        self.torn = offset = 0
        for number, line in enumerate(self._lines(), start=1):
            try:
                yield offset, self._lines_are.validate_json(line)
            except ValidationError as error:
                if line.endswith(b"\n"):
                    message = f"{self._path}, line {number}, is no outcome of a run: {error.errors()[0]['msg']}."
                    raise ReplayError(message) from error
                self.torn = 1
            offset += len(line)

    def at(self, offset: int) -> Line:
        """The outcome at a place that iteration gave."""
        with self._path.open("rb") as file:
            file.seek(offset)
            return self._lines_are.validate_json(file.readline())

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                yield from file
        except OSError as error:
            message = f"{self._path} cannot be read ({error.strerror}). Is this the folder of a run?"
            raise ReplayError(message) from error


class OutcomeReader(LineReader[Outcome]):
    """Reads the outcomes of a replay; those of a load test too, as what a replay writes of a question."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _OUTCOME)
