"""How fast the worker gets requests done, measured while it is busy."""

import time
from typing import Final

_SMOOTHING: Final = 0.2
"""Weight of the newest request in the moving average."""


class ServiceRate:
    """A moving average of the time that each request keeps the worker busy.

    A request's share of a busy period is the time since the one before it ended, or since it began if the worker was
    idle; with several requests at a time this is the time between their ends, and not how long each takes.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        """Seconds per request; None before the first."""
        self._running = 0
        self._since_s = 0.0

    def begun(self) -> None:
        """The worker has begun a request."""
        if not self._running:
            self._since_s = time.monotonic()
        self._running += 1

    def ended(self, *, counts: bool) -> None:
        """A request that had begun has ended; only one that was answered ``counts`` as a measurement."""
        now = time.monotonic()
        spent = now - self._since_s
        if counts:
            self.seconds = spent if self.seconds is None else self.seconds + _SMOOTHING * (spent - self.seconds)
        self._running -= 1
        self._since_s = now

    def forget(self) -> None:
        """The worker died with what it was computing."""
        self._running = 0

    def wait_s(self, ahead: int) -> float | None:
        """Seconds until so many requests are done; None if that is not known yet."""
        return None if self.seconds is None else ahead * self.seconds
