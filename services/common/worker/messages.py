"""What crosses between the HTTP process and the worker: a job one way, pieces of an answer and its end the other.

An error is a value here, so that its status and message survive the way back and, in a batch, stay with their item.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.wire.answer import Cache, FinishReason, TokenLogprob, Usage
from services.wire.contract import WireRequest
from services.wire.errors import ServiceError
from services.wire.lens import LensTrace

Request = TypeVar("Request", bound=WireRequest)


@dataclass(frozen=True, slots=True)
class Job(Generic[Request]):
    """One request on its way to the worker; times are ``time.monotonic()``, one clock for all processes.

    ``in_pieces`` asks for a ``Delta`` per piece of the answer before its end; a worker that cannot give pieces sends
    the end alone.
    """

    id: str
    request: Request
    enqueued_s: float
    deadline_s: float
    timeout_s: float
    in_pieces: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer's text, with the scores of its tokens if they were asked for."""

    text: str
    logprobs: list[TokenLogprob] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What only the worker knows of a whole answer; times in milliseconds. The HTTP process adds the rest."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    queue_ms: float
    preprocess_ms: float
    inference_ms: float
    cache: Cache | None = None
    lens: LensTrace | None = None


End = WorkerAnswer | ServiceError
"""The last that comes of a job."""

Reply = Delta | End
