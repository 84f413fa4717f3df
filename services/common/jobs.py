"""What crosses between the HTTP process and the worker: a job one way, an answer or an error the other.

An error is a value here, so that its status and message survive the way back and, in a batch, stay with their item.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.common.errors import ServiceError
from services.common.schemas import AnswerRequest, AnswerResponse

Request = TypeVar("Request", bound=AnswerRequest)


@dataclass(frozen=True, slots=True)
class Job(Generic[Request]):
    """One request on its way to the worker; ``enqueued_s`` is ``time.monotonic()``, one clock for all processes."""

    id: str
    request: Request
    enqueued_s: float


Reply = AnswerResponse | ServiceError


def run(job: Job[Request], answer: Callable[[Job[Request]], AnswerResponse]) -> Reply:
    """The answer with its queue time filled in, or the error that the request itself caused.

    Anything else that is raised is a defect: it passes, is logged by the loop, and becomes a 500.
    """
    queue_ms = (time.monotonic() - job.enqueued_s) * 1000
    try:
        response = answer(job)
    except ServiceError as error:
        return error
    return response.model_copy(update={"timing": response.timing.model_copy(update={"queue_ms": queue_ms})})
