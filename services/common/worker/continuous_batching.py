"""A worker loop with continuous batching: new jobs join the batch between decoding steps.

LitServe's own loops run one job after another, keep a batch fixed until it completes, or, where they do batch
continuously, need its streaming mode and end on an exception while a job is taken up. Here a short answer does not
wait for a long one, every piece is sent as soon as it is decoded, and a job that fails fails alone.
"""

import logging
from collections.abc import Iterable
from typing import Any, Protocol

from litserve.loops.base import LitLoop
from litserve.utils import LitAPIStatus, LoopResponseType

from services.common.worker.messages import Delta, Job, Reply

_log = logging.getLogger(__name__)
_STOP = (None, None, None, None)
"""LitServe's sentinel that ends a loop."""
_IDLE_S = 1.0


class ContinuousBatchingAPI(Protocol):
    """The interface that the loop requires of a ``LitAPI``."""

    max_batch_size: int

    def begin(self, job: Job[Any]) -> Iterable[Reply]:
        """Start a job and return its first replies."""

    def step(self) -> Iterable[tuple[str, Reply]]:
        """Advance every active job by one step and return the replies with their job ids."""

    def drop_all(self) -> None:
        """Drop all active jobs after a failed step."""


class ContinuousBatchingLoop(LitLoop):  # type: ignore[misc]  # LitServe has no type hints
    """Runs at most ``max_batch_size`` jobs at once and admits at most one new job per step."""

    def __call__(self, lit_api: ContinuousBatchingAPI, _device: str, _worker: int, *rest: Any) -> None:
        """Run until LitServe sends the sentinel."""
        request_queue, self._transport, *_ = rest
        self._senders: dict[str, int] = {}  # job id to the HTTP process that awaits it
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
        except Exception as error:  # noqa: BLE001 fails only this job: logged and answered with 500
            _log.exception("job %s failed", job_id)
            self._fail(job_id, error)

    def _step(self, api: ContinuousBatchingAPI) -> None:
        try:
            for job_id, reply in api.step():
                self._send(job_id, reply)
        except Exception as error:  # noqa: BLE001 the failing job is unknown, so all of them fail
            _log.exception("step with %d jobs failed", len(self._senders))
            api.drop_all()
            for job_id in list(self._senders):
                self._fail(job_id, error)

    def _send(self, job_id: str, reply: Reply) -> None:
        sender = self._senders[job_id] if isinstance(reply, Delta) else self._senders.pop(job_id)
        self.put_response(self._transport, sender, job_id, reply, LitAPIStatus.OK, LoopResponseType.REGULAR)

    def _fail(self, job_id: str, error: Exception) -> None:
        self.put_error_response(self._transport, self._senders.pop(job_id), job_id, error)
