"""A worker's loop that answers jobs in batches that stay together; a batch of one is sent off at once."""

import logging
import time
from typing import Any, Protocol

from services.common.isolation import Abandoned, interruptible
from services.common.worker.inbox import IDLE_S, Inbox
from services.common.worker.loop import WorkerAPI, WorkerLoop
from services.common.worker.messages import Job, Reply, failed, late

_log = logging.getLogger(__name__)


class BatchingAPI(WorkerAPI, Protocol):
    """The interface that the loop requires of a ``LitAPI``."""

    batch_timeout: float

    def answer(self, jobs: list[Job[Any]]) -> list[Reply]:
        """The end of each job; a failure is the error of the job that failed."""


class BatchingLoop(WorkerLoop):
    """Waits for the first job, then at most ``batch_timeout`` seconds for ``max_batch_size`` of them."""

    def turn(self, api: BatchingAPI, inbox: Inbox) -> None:
        """Answer one batch. If nobody waits for any of it any more, it ends at the model's next checkpoint."""
        first = inbox.take(IDLE_S)
        if first is None:
            return
        jobs = [first]
        until_s = time.monotonic() + api.batch_timeout
        while len(jobs) < api.max_batch_size:
            job = inbox.take(max(0.0, until_s - time.monotonic()))
            if job is None:
                break
            jobs.append(job)
        try:
            with interruptible(lambda: inbox.check(jobs)):
                replies = api.answer(jobs)
        except Abandoned:
            replies = [late(job.timeout_s) for job in jobs]
        except Exception:  # noqa: BLE001 fails only these jobs: logged and answered with 500
            _log.exception("jobs %s failed", ", ".join(job.id for job in jobs))
            replies = [failed(job.id) for job in jobs]
        for job, reply in zip(jobs, replies, strict=True):
            inbox.send(job.id, reply)
