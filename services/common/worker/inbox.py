"""The worker's end of the channel: jobs arrive while the model computes, and what nobody waits for is known at once."""

import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from services.common.isolation import Abandoned
from services.common.worker.channel import Channel
from services.common.worker.messages import Alive, Begun, Cancel, Delta, Job, Loaded, Replied, Reply, late

_ALIVE_EVERY_S: Final = 0.5
IDLE_S: Final = 1.0
"""An idle worker says so often that it is alive."""


class Inbox:
    """Connects to the HTTP process; a thread reads its messages, and calls ``at_end`` when that process has ended."""

    def __init__(self, path: Path, at_end: Callable[[], None]) -> None:
        self._at_end = at_end
        self._channel = Channel(path)
        self._jobs: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        self._open: set[str] = set()
        """Jobs that have no end yet."""
        self._cancelled: set[str] = set()
        self._told_s = time.monotonic()
        self._channel.send(Loaded(os.getpid()))
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self, timeout_s: float | None) -> Job[Any] | None:
        """The next job; None if none arrives within the time, which may be 0. Tells that the worker is alive.

        Jobs that nobody waits for any more are passed over.
        """
        until_s = time.monotonic() + (timeout_s or 0)
        while True:
            self.alive()
            try:
                job = self._jobs.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                return None
            if self.is_wanted(job):
                self._channel.send(Begun(job.id))
                return job
            self.send(job.id, late(job.timeout_s))

    def is_wanted(self, job: Job[Any]) -> bool:
        """Whether somebody still waits for the job's answer, and its deadline has not passed."""
        return job.id not in self._cancelled and time.monotonic() < job.deadline_s

    def check(self, jobs: list[Job[Any]]) -> None:
        """Tell that the worker is alive; raise ``Abandoned`` if nobody waits for any of the jobs."""
        self.alive()
        if not any(self.is_wanted(job) for job in jobs):
            raise Abandoned

    def send(self, job_id: str, reply: Reply) -> None:
        """Send a reply to a job."""
        self._channel.send(Replied(job_id, reply))
        if not isinstance(reply, Delta):
            self._open.discard(job_id)
            self._cancelled &= self._open

    def alive(self) -> None:
        """Tell that the worker makes progress, if it was some time ago that it did."""
        now = time.monotonic()
        if now - self._told_s > _ALIVE_EVERY_S:
            self._told_s = now
            self._channel.send(Alive())

    def _read(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except (EOFError, OSError):
                self._channel.close()
                self._at_end()
                return
            if isinstance(message, Cancel):
                self._cancelled |= {message.job_id} & self._open
            else:
                self._open.add(message.id)
                self._jobs.put(message)
