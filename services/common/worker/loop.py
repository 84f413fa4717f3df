"""What every worker's loop has in common: LitServe starts it once the model is loaded."""

import os
import signal
from abc import abstractmethod
from pathlib import Path
from typing import Any, Protocol

from litserve.loops.base import LitLoop

from services.common.worker.inbox import Inbox


class WorkerAPI(Protocol):
    """What a loop asks of a ``LitAPI``."""

    channel: Path
    """The socket of the HTTP process."""
    max_batch_size: int


class WorkerLoop(LitLoop):  # type: ignore[misc]  # LitServe has no type hints
    """A loop that takes its jobs from an inbox and not from LitServe's queue.

    LitServe's own loops take no cancellation, poll while they wait for a batch, and let one bad item fail its batch.
    """

    def __call__(self, lit_api: Any, *_: Any) -> None:  # noqa: ANN401 what LitServe passes
        """Run until the HTTP process ends; a signal to stop is for that process, which answers what has begun."""
        inbox = Inbox(lit_api.channel, at_end=lambda: os._exit(0))  # nobody can be answered any more
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            self.turn(lit_api, inbox)

    @abstractmethod
    def turn(self, api: Any, inbox: Inbox) -> None:  # noqa: ANN401 each loop has its own protocol
        """Take jobs and advance them; waits at most ``IDLE_S`` for one."""
