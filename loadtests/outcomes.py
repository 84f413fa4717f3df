"""What became of each request: the replay client's outcomes, with the time at which the request was due."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clients.replay.outcomes import Failed, Failure, Lens, Scored
from loadtests.errors import LoadTestError
from loadtests.questions import Ask
from services.common.schemas import AnswerResponse

NOT_SENT: Final = "client_saturated"
"""Code of a failure that the generator alone is to blame for."""


class Sent(BaseModel):
    """When a request was due, in seconds of measured time, and how much later it was really sent.

    In the closed loop a request is due when it is sent.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    due_s: float
    lag_ms: float


class LoadScored(Scored):
    """The service answered. ``latency_ms`` counts from the time at which the request was due."""

    sent: Sent


class LoadFailed(Failed):
    """There is no answer; ``latency_ms`` counts as in ``LoadScored``."""

    sent: Sent


Outcome = LoadScored | LoadFailed
_OUTCOME: Final[TypeAdapter[Outcome]] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])


def outcome(ask: Ask, reply: AnswerResponse | Failure, latency_ms: float, sent: Sent) -> Outcome:
    """The outcome of one request."""
    asked = {
        "sample_id": ask.id,
        "image": ask.sample.image_key,
        "image_sha256": ask.image_sha256,
        "question": ask.sample.question,
        "gold": ask.sample.gold,
        "answer_type": ask.sample.answer_type,
        "labels": dict(ask.sample.labels),
        "latency_ms": round(latency_ms, 3),
        "sent": sent,
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
