"""A worker loop that decodes several answers side by side: jobs are taken in between two steps.

LitServe's own loops either answer one job after another, or form a batch once and hold it to its end. Here a short
answer need not wait for a long one, and every piece goes out when it is there.
"""

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from litserve.loops.base import LitLoop
from litserve.utils import LitAPIStatus, LoopResponseType

from services.common.worker.messages import Delta, Job, Reply

_log = logging.getLogger(__name__)
_STOP = (None, None, None, None)
"""What LitServe puts on the queue to end a loop."""
_IDLE_S = 1.0


class ContinuousBatchingAPI(Protocol):
    """What the loop needs of a ``LitAPI``."""

    max_batch_size: int

    def begin(self, job: Job[Any]) -> Iterable[Reply]:
        """Take a job up; what there is to send of it already."""

    def step(self) -> Iterable[tuple[str, Reply]]:
        """Bring every job that was taken up one step on; what there is to send, by job."""

    def drop_all(self) -> None:
        """Forget every job, after a defect."""


class ContinuousBatchingLoop(LitLoop):  # type: ignore[misc]  # LitServe has no type hints
    """Takes up at most ``max_batch_size`` jobs at a time, one between two steps."""

    def __call__(self, lit_api: ContinuousBatchingAPI, _device: str, _worker: int, *rest: Any) -> None:
        """Run until LitServe says stop."""
        request_queue, self._transport, *_ = rest
        self._senders: dict[str, int] = {}  # job id to the HTTP process that waits
        while True:
            if len(self._senders) < lit_api.max_batch_size:
                entry = self.get_request(request_queue, block=not self._senders, timeout=_IDLE_S)
                if entry == _STOP:
                    return
                if entry is not None:
                    self._begin(lit_api, entry)
            if self._senders:
                self._step(lit_api)

    def _begin(self, api: ContinuousBatchingAPI, entry: tuple[int, str, float, Job[Any]]) -> None:
        sender, job_id, _, job = entry
        self._senders[job_id] = sender
        try:
            for reply in api.begin(job):
                self._send(job_id, reply)
        except Exception as error:  # noqa: BLE001 a defect on this job alone: it is logged, and answered with a 500
            _log.exception("defect on job %s", job_id)
            self._fail(job_id, error)

    def _step(self, api: ContinuousBatchingAPI) -> None:
        try:
            for job_id, reply in api.step():
                self._send(job_id, reply)
        except Exception as error:  # noqa: BLE001 whose job it is about cannot be told: all end
            _log.exception("defect in a step of %d jobs", len(self._senders))
            api.drop_all()
            for job_id in list(self._senders):
                self._fail(job_id, error)

    def _send(self, job_id: str, reply: Reply) -> None:
        sender = self._senders[job_id] if isinstance(reply, Delta) else self._senders.pop(job_id)
        self.put_response(self._transport, sender, job_id, reply, LitAPIStatus.OK, LoopResponseType.REGULAR)

    def _fail(self, job_id: str, error: Exception) -> None:
        self.put_error_response(self._transport, self._senders.pop(job_id), job_id, error)
