"""A worker's loop with continuous batching: new jobs join the batch between decoding steps.

A short answer does not wait for a long one, every piece is sent as soon as it is decoded, and a job that fails fails
alone.
"""

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from services.common.isolation import Abandoned, interruptible
from services.common.worker.inbox import IDLE_S, Inbox
from services.common.worker.loop import WorkerAPI, WorkerLoop
from services.common.worker.messages import Delta, Job, Reply, failed, late

_log = logging.getLogger(__name__)


class ContinuousBatchingAPI(WorkerAPI, Protocol):
    """The interface that the loop requires of a ``LitAPI``."""

    def begin(self, job: Job[Any]) -> Iterable[Reply]:
        """Start a job and return its first replies."""

    def step(self) -> Iterable[tuple[str, Reply]]:
        """Advance every active job by one step and return the replies with their job ids."""

    def drop(self, job_id: str) -> None:
        """Drop an active job that nobody waits for, or whose step failed."""


class ContinuousBatchingLoop(WorkerLoop):
    """Runs at most ``max_batch_size`` jobs at once and admits at most one new job per step."""

    def __init__(self) -> None:
        super().__init__()
        self._active: dict[str, Job[Any]] = {}

    def turn(self, api: ContinuousBatchingAPI, inbox: Inbox) -> None:
        """Take at most one job up, then advance all by one step."""
        if len(self._active) < api.max_batch_size:
            job = inbox.take(0 if self._active else IDLE_S)
            if job is not None:
                self._begin(api, inbox, job)
        for job in [job for job in self._active.values() if not inbox.is_wanted(job)]:
            api.drop(job.id)
            self._send(inbox, job.id, late(job.timeout_s))
        if self._active:
            self._step(api, inbox)

    def _begin(self, api: ContinuousBatchingAPI, inbox: Inbox, job: Job[Any]) -> None:
        self._active[job.id] = job
        try:
            with interruptible(lambda: inbox.check([job])):
                for reply in api.begin(job):
                    self._send(inbox, job.id, reply)
        except Abandoned:
            self._send(inbox, job.id, late(job.timeout_s))
        except Exception:  # noqa: BLE001 fails only this job: logged and answered with 500
            _log.exception("job %s failed", job.id)
            self._send(inbox, job.id, failed(job.id))

    def _step(self, api: ContinuousBatchingAPI, inbox: Inbox) -> None:
        try:
            for job_id, reply in api.step():
                self._send(inbox, job_id, reply)
        except Exception:  # noqa: BLE001 fails the jobs of this step: logged and answered with 500
            _log.exception("step with %d jobs failed", len(self._active))
            for job_id in list(self._active):  # the failing job is unknown
                api.drop(job_id)
                self._send(inbox, job_id, failed(job_id))
        inbox.alive()

    def _send(self, inbox: Inbox, job_id: str, reply: Reply) -> None:
        if not isinstance(reply, Delta):
            del self._active[job_id]
        inbox.send(job_id, reply)
