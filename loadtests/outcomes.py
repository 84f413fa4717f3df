"""What became of each request: the replay client's outcomes, with the times of a load test."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clients.replay.run.outcomes import Failed, Failure, Lens, Scored
from loadtests.errors import LoadTestError
from loadtests.questions import Ask
from services.wire.answer import AnswerResponse

NOT_SENT: Final = "client_saturated"
"""Code of a failure that the generator alone is to blame for."""


class _Timed(BaseModel):
    """When a request was meant to be sent and when it was, in seconds since 1970; ``latency_ms`` counts from then.

    In the closed loop a request is meant to be sent when it is.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    latency_ms: float
    intended_at_s: float
    sent_at_s: float

    @property
    def lag_ms(self) -> float:
        """How late it was sent."""
        return (self.sent_at_s - self.intended_at_s) * 1000

    @property
    def waited_for_ms(self) -> float:
        """How long its sender waited, from when it was due: what a load test calls latency."""
        return self.lag_ms + self.latency_ms

    @property
    def ended_at_s(self) -> float:
        """When its answer was there, or it was given up."""
        return self.sent_at_s + self.latency_ms / 1000


class LoadScored(_Timed, Scored):
    """The service answered."""

    intended_at_s: float
    sent_at_s: float


class LoadFailed(_Timed, Failed):
    """There is no answer."""

    intended_at_s: float
    sent_at_s: float


Outcome = LoadScored | LoadFailed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def outcome(
    ask: Ask, reply: AnswerResponse | Failure, *, intended_at_s: float, sent_at_s: float, latency_ms: float
) -> Outcome:
    """The outcome of one request."""
    asked = {
        "sample_id": ask.id,
        "image": ask.sample.image_key,
        "image_sha256": ask.image_sha256,
        "question": ask.sample.question,
        "gold": ask.sample.gold,
        "answer_type": ask.sample.answer_type,
        "labels": dict(ask.sample.labels),
        "intended_at_s": round(intended_at_s, 6),
        "sent_at_s": round(sent_at_s, 6),
        "latency_ms": round(latency_ms, 3),
    }
    if isinstance(reply, Failure):
        return LoadFailed.model_validate({**asked, "failure": reply})
    answer = reply.model_dump(include={"answer", "finish_reason", "usage", "timing", "cache"})
    return LoadScored.model_validate({**asked, **answer, "lens": Lens.of(reply.lens) if reply.lens else None})


def read(path: Path) -> tuple[Outcome, ...]:
    """Every outcome of a load test; a last line that a kill cut short is left out.

    Raises:
        LoadTestError: there is no file, or it is not a load test's.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): give the folder of a load test"
        raise LoadTestError(message) from error
    try:
        return tuple(_OUTCOME.validate_json(line) for line in lines if line.endswith(b"\n"))
    except ValidationError as error:
        message = f"{path} holds a line that is no outcome of a load test: {error.errors()[0]['msg']}"
        raise LoadTestError(message) from error
