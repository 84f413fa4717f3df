"""Messages between the HTTP process and the worker: jobs one way, pieces of an answer and its end the other.

A worker sends ``Loaded`` once, ``Begun`` and then replies for each job, and ``Alive`` in between. Every job gets an
end, a cancelled one too: it tells that the worker is free for the next. Errors are values, so that status and message
survive the trip back and, in a batch, stay with their item.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from services.wire.answer import Cache, FinishReason, TokenLogprob, Usage
from services.wire.contract import WireRequest
from services.wire.errors import DeadlineError, InternalError, ServiceError
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
    not know. ``cache_bytes`` is the size of the prefix cache afterwards; None without one.
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
    cache_bytes: int | None = None


End = WorkerAnswer | ServiceError
"""The last reply to a job."""

Reply = Delta | End


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this job's answer any more."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The worker has loaded the model and takes jobs."""

    pid: int


@dataclass(frozen=True, slots=True)
class Alive:
    """The worker makes progress."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The worker has begun to compute this job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply to this job."""

    job_id: str
    reply: Reply


FromWorker = Loaded | Alive | Begun | Replied
ToWorker = Job[Any] | Cancel


def late(timeout_s: float) -> DeadlineError:
    """The error for a job that has no answer by its deadline."""
    message = f"no answer within {timeout_s:g} s: try again, or request fewer tokens or patches"
    return DeadlineError(message)


def failed(job_id: str) -> InternalError:
    """The error for a job that failed by a defect, which the worker has logged under the job's id."""
    message = f"the worker failed on this request; see {job_id} in its log"
    return InternalError(message)
