"""Numbers that the worker sets and the HTTP process reads at any moment, in shared memory.

What belongs to one answer goes with the answer; these belong to none, or change while nothing is answered.
"""

from multiprocessing import get_context


class WorkerState:
    """Shared by all processes of a service: made in the main one, inherited by a fork, passed to a spawned worker."""

    def __init__(self) -> None:
        # Of 64 bits each, which a processor writes whole; each has one writer, so there is no lock.
        self._numbers = get_context("spawn").RawArray("q", 4)

    @property
    def pid(self) -> int:
        """The worker's process id; 0 until it has started."""
        return int(self._numbers[0])

    @pid.setter
    def pid(self, pid: int) -> None:
        self._numbers[0] = pid

    @property
    def running(self) -> int:
        """Requests that the worker is computing."""
        return int(self._numbers[1])

    @running.setter
    def running(self, requests: int) -> None:
        self._numbers[1] = requests

    @property
    def cache_bytes(self) -> int:
        """Size of the cached tensors."""
        return int(self._numbers[2])

    @cache_bytes.setter
    def cache_bytes(self, size: int) -> None:
        self._numbers[2] = size

    @property
    def restarts(self) -> int:
        """How often a worker that died was started anew."""
        return int(self._numbers[3])

    def started(self, pid: int) -> None:
        """A worker begins, with nothing running and nothing cached."""
        self.pid, self.running, self.cache_bytes = pid, 0, 0

    def restarted(self) -> None:
        """Count a worker that was started in place of one that died."""
        self._numbers[3] += 1
