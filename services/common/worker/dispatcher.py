"""The HTTP process's end of the channel: jobs wait here until the worker is free, and get their replies.

What waits is not sent yet, so that a job whose client leaves, or whose deadline passes, costs the worker nothing, and a
worker that dies takes only what it was computing with it.
"""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from services.common.worker.channel import packed, read_message
from services.common.worker.messages import (
    Begun,
    Cancel,
    Delta,
    FromWorker,
    Job,
    Loaded,
    Replied,
    Reply,
    ToWorker,
    WorkerAnswer,
    late,
)
from services.common.worker.rate import ServiceRate
from services.wire.errors import NotReadyError

_log = logging.getLogger(__name__)
_LONG: Final = 3
GONE: Final = "the model is not ready: try again in a moment"
DIED: Final = "the worker died while it had this request: try again in a moment"


class _Ticket:
    """A job in the building: it waits for the worker, then for its replies."""

    def __init__(self, job: Job[Any]) -> None:
        self.job = job
        self.replies: asyncio.Queue[Reply | NotReadyError] = asyncio.Queue()
        self.is_running = False


class Dispatcher:
    """Sends jobs to the worker, at most ``slots`` at once, in the order they came.

    Args:
        slots: how many jobs the worker has at a time: those it computes, and what it takes up next.
        is_verified: whether the model's files have been verified.
        stuck_after_s: a worker that makes no progress for so long is stuck.
        restarts: whether a worker that dies is started anew; jobs that it had not begun then wait for the next one.
    """

    def __init__(
        self, slots: int, is_verified: Callable[[], bool], stuck_after_s: float = 30, *, restarts: bool = False
    ) -> None:
        self._rate = ServiceRate()
        self._is_verified = is_verified
        self._stuck_after_s = stuck_after_s
        self._slots = slots
        self._restarts = restarts
        self._waiting: deque[_Ticket] = deque()
        self._sent: dict[str, _Ticket] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._heard_s = 0.0
        self.worker_pid = 0
        """The process id of the latest worker; 0 before the first."""
        self.restarts = 0
        """Number of workers that came in place of one that died."""

    @asynccontextmanager
    async def listening(self, channel: socket.socket) -> AsyncIterator[None]:
        """Listen for the worker on a bound Unix socket, in a folder of this user's alone."""
        server = await asyncio.start_unix_server(self._serve, sock=channel)
        try:
            yield
        finally:
            server.close()
            self._writer = None
            for task, writer in list(self._serving.items()):
                writer.close()
                await asyncio.wait({task})

    def is_ready(self) -> bool:
        """Whether a worker has loaded the model, which is verified, and makes progress."""
        return self._writer is not None and self._is_verified() and self.silent_s < self._stuck_after_s

    def is_stuck_for_long(self) -> bool:
        """Whether the worker has made no progress for so long that only an end of the service helps."""
        return self.silent_s > _LONG * self._stuck_after_s

    def wait_s(self, ahead: int) -> float | None:
        """Seconds until so many requests are done, by the measured rate; None if that is not known yet."""
        return self._rate.wait_s(ahead)

    @property
    def waiting(self) -> int:
        """Number of jobs that the worker has not begun."""
        return len(self._waiting) + sum(not ticket.is_running for ticket in self._sent.values())

    @property
    def running(self) -> int:
        """Number of jobs that the worker computes."""
        return sum(ticket.is_running for ticket in self._sent.values())

    @property
    def silent_s(self) -> float:
        """Seconds since the worker last told that it makes progress; 0 without a worker."""
        return time.monotonic() - self._heard_s if self._writer else 0.0

    async def replies(self, job: Job[Any]) -> AsyncGenerator[Reply, None]:
        """Have a job answered and yield its replies, the end last. Closing the generator cancels the job.

        Raises:
            DeadlineError: the end did not arrive by the job's deadline.
            NotReadyError: there is no worker, or it died.
        """
        if not self._writer and not self._restarts:
            raise NotReadyError(GONE)
        ticket = _Ticket(job)
        self._waiting.append(ticket)
        self._dispatch()
        reply: Reply | None = None
        try:
            while reply is None or isinstance(reply, Delta):
                reply = await _next(ticket)
                yield reply
        finally:
            if reply is None or isinstance(reply, Delta):
                self._cancel(ticket)

    def _dispatch(self) -> None:
        while self._writer and self._waiting and len(self._sent) < self._slots:
            ticket = self._waiting.popleft()
            self._sent[ticket.job.id] = ticket
            self._send(ticket.job)

    def _send(self, message: ToWorker) -> None:
        if self._writer:
            self._writer.write(packed(message))

    def _cancel(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        elif ticket.job.id in self._sent:  # it keeps its slot until the worker has let it go
            self._send(Cancel(ticket.job.id))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read what a worker sends until it ends."""
        task = asyncio.current_task()
        assert task  # noqa: S101 asyncio runs this as one
        self._serving[task] = writer
        task.add_done_callback(self._serving.pop)
        try:
            while True:
                message: FromWorker = await read_message(reader)
                self._heard_s = time.monotonic()
                self._receive(message, writer)
        except EOFError:
            pass
        finally:  # a worker that sends what cannot be is as good as dead
            writer.close()
            if self._writer is writer:
                self._lost()

    def _receive(self, message: FromWorker, writer: asyncio.StreamWriter) -> None:
        match message:
            case Loaded(pid):
                self.restarts += self.worker_pid != 0
                self._writer, self.worker_pid = writer, pid
                self._dispatch()
            case Begun(job_id):
                self._sent[job_id].is_running = True
                self._rate.begun()
            case Replied(job_id, Delta() as reply):
                self._sent[job_id].replies.put_nowait(reply)
            case Replied(job_id, reply):
                ticket = self._sent.pop(job_id)
                ticket.replies.put_nowait(reply)
                if ticket.is_running:
                    self._rate.ended(counts=isinstance(reply, WorkerAnswer))
                self._dispatch()

    def _lost(self) -> None:
        """Fail what the worker was computing; what waited waits for the next worker, or fails too."""
        self._writer = None
        self._rate.forget()
        sent, self._sent = list(self._sent.values()), {}
        unbegun = [ticket for ticket in sent if not ticket.is_running]
        self._waiting.extendleft(reversed(unbegun))
        failed = [ticket for ticket in sent if ticket.is_running]
        if not self._restarts:
            failed += self._waiting
            self._waiting.clear()
        for ticket in failed:
            ticket.replies.put_nowait(NotReadyError(DIED))
        _log.error("the worker died with %d requests: they are answered with 503", len(failed))


async def _next(ticket: _Ticket) -> Reply:
    try:
        async with asyncio.timeout(ticket.job.deadline_s - time.monotonic()):
            reply = await ticket.replies.get()
    except TimeoutError as error:
        raise late(ticket.job.timeout_s) from error
    if isinstance(reply, NotReadyError):
        raise reply
    return reply
