"""Messages between the HTTP process and the worker: jobs one way, pieces of an answer and its end the other.

Errors are values, so that status and message survive the trip back and, in a batch, stay with their item.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.wire.answer import Cache, FinishReason, TokenLogprob, Usage
from services.wire.contract import WireRequest
from services.wire.errors import InternalError, ServiceError
from services.wire.lens import LensTrace

Request = TypeVar("Request", bound=WireRequest)


@dataclass(frozen=True, slots=True)
class Job(Generic[Request]):
    """One request for the worker; times are ``time.monotonic()``, a clock shared by all processes.

    ``in_pieces`` requests a ``Delta`` per piece of the answer before the end; a worker that cannot stream sends only
    the end.
    """

    id: str
    request: Request
    enqueued_s: float
    deadline_s: float
    timeout_s: float
    in_pieces: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer's text, with the log probabilities of its tokens if requested."""

    text: str
    logprobs: list[TokenLogprob] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """The worker's part of a complete answer; the HTTP process adds the rest.

    ``batch_size`` counts the requests that were computed together, this one included: the most there were at once.
    ``token_times_s`` are the times of ``time.monotonic()`` at which each token was there, empty where the worker does
    not know.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    queue_ms: float
    preprocess_ms: float
    inference_ms: float
    cache: Cache | None = None
    lens: LensTrace | None = None
    batch_size: int = 1
    token_times_s: tuple[float, ...] = ()


End = WorkerAnswer | ServiceError
"""The last reply to a job."""

Reply = Delta | End


def failed(job_id: str) -> InternalError:
    """The error for a job that failed by a defect, which the worker has logged under the job's id."""
    message = f"the worker failed on this request; see {job_id} in its log"
    return InternalError(message)
