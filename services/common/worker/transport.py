"""Sends a job to the worker and receives its replies, over LitServe's queue.

LitServe's own request handling keeps at most one reply and waits without a timeout.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from litserve.utils import LitAPIStatus

from services.common.worker.messages import Delta, Job, Reply, failed
from services.wire.contract import WireRequest
from services.wire.errors import DeadlineError


class Queue(Protocol):
    """The part of ``LitSpec`` used here; LitServe fills it in before HTTP comes up."""

    request_queue: Any  # a multiprocessing proxy
    response_buffer: dict[str, Any]
    response_queue_id: int


class Mailbox:
    """Replaces LitServe's ``ResponseBufferItem`` and queues every reply instead of keeping only the last.

    LitServe assigns each reply to ``response`` and sets ``event``, in the HTTP process's event loop.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.worker_id: int | None = None
        self._replies: asyncio.Queue[tuple[Any, str]] = asyncio.Queue()

    @property
    def response(self) -> None:
        """Write-only: ``take`` returns the replies in order."""

    @response.setter
    def response(self, reply: tuple[Any, str]) -> None:
        self._replies.put_nowait(reply)

    async def take(self) -> tuple[Any, str]:
        """Wait for the next reply and its LitServe status."""
        return await self._replies.get()


async def replies(queue: Queue, job: Job[WireRequest]) -> AsyncGenerator[Reply, None]:
    """Submit a job and yield its replies, the end last. Closing the generator early discards later replies.

    Raises:
        DeadlineError: the end did not arrive by the job's deadline.
        InternalError: the worker failed on the job.
    """
    box = Mailbox()
    queue.response_buffer[job.id] = box
    try:
        entry = (queue.response_queue_id, job.id, time.monotonic(), job)
        await asyncio.to_thread(queue.request_queue.put, entry)  # an IPC call that would block the event loop
        while True:
            reply = await _next(box, job)
            yield reply
            if not isinstance(reply, Delta):
                return
    finally:
        queue.response_buffer.pop(job.id, None)


async def _next(box: Mailbox, job: Job[WireRequest]) -> Reply:
    try:
        async with asyncio.timeout(job.deadline_s - time.monotonic()):
            reply, status = await box.take()
    except TimeoutError as error:
        message = f"no answer within {job.timeout_s:g} s: try again, or request fewer tokens or patches"
        raise DeadlineError(message) from error
    if status != LitAPIStatus.OK:
        raise failed(job.id)
    received: Reply = reply
    return received
