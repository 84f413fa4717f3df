"""Who may enter: as many requests as can be answered in time, counted before a body is read or an image decoded."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from starlette.requests import Request

from services.common.settings import ServerSettings
from services.wire.errors import InvalidRequestError, NotReadyError, OverloadedError

TIMEOUT_HEADER = "Request-Timeout-Ms"


class Load(Protocol):
    """What is known of the worker."""

    def is_ready(self) -> bool:
        """Whether requests can be answered at all."""

    def wait_s(self, ahead: int) -> float | None:
        """Seconds until so many requests are done, by the measured rate; None if that is not known."""


class Admission:
    """Counts the requests in the building, and the bytes of their bodies."""

    def __init__(self, settings: ServerSettings, load: Load) -> None:
        self._settings = settings
        self._load = load
        self.requests = 0
        self.held_bytes = 0
        self.draining = False
        self._left = asyncio.Event()

    def drain(self) -> None:
        """Admit nobody any more."""
        self.draining = True

    async def emptied(self) -> None:
        """Return once nobody is in the building."""
        while self.requests:
            self._left.clear()
            await self._left.wait()

    def require_ready(self) -> None:
        """Refuse if no request can be answered.

        Raises:
            NotReadyError: the model is loading, its worker is stuck or dead, or the service is stopping.
        """
        if self.draining:
            message = "the server is stopping: try again in a moment"
            raise NotReadyError(message)
        if not self._load.is_ready():
            message = "the model is not ready: try again in a moment"
            raise NotReadyError(message)

    @contextmanager
    def admit(self, request: Request) -> Iterator[None]:
        """Hold a place for a request whose body has not been read yet.

        Raises:
            NotReadyError: as ``require_ready``.
            OverloadedError: there is no place for it, or its bytes.
        """
        self.require_ready()
        if self.requests >= self._settings.max_requests:
            message = f"the server has {self.requests} requests, and takes no more: try again later"
            raise OverloadedError(message, retry_after_s=self._retry_after_s())
        size = self._size(request)
        if self.requests and self.held_bytes + size > self._settings.max_held_bytes:
            message = f"the server holds {self.held_bytes} bytes of {self.requests} requests: try again later"
            raise OverloadedError(message, retry_after_s=self._retry_after_s())
        self.requests += 1
        self.held_bytes += size
        try:
            yield
        finally:
            self.requests -= 1
            self.held_bytes -= size
            self._left.set()

    def require_time(self, deadline_s: float) -> None:
        """Refuse an admitted request that would not be answered by its deadline, by the measured rate.

        Raises:
            OverloadedError: the requests before it take longer than it has.
        """
        ahead = self.requests - 1
        wait_s = self._load.wait_s(ahead)
        if ahead and wait_s is not None and time.monotonic() + wait_s > deadline_s:
            message = (
                f"{ahead} requests are before this one, about {wait_s:.1f} s of work, more than it has: "
                "try again later, or allow more time"
            )
            raise OverloadedError(message, retry_after_s=self._retry_after_s())

    def _size(self, request: Request) -> int:
        """Bytes that the body may have; one of unknown length may have as many as a body can."""
        length = request.headers.get("content-length", "")
        most = self._settings.max_body_bytes
        return min(int(length), most) if length.isdecimal() else most

    def _retry_after_s(self) -> int:
        """When those who are here now will have been answered."""
        return max(1, math.ceil(self._load.wait_s(self.requests) or 1))


def timeout_s(request: Request, asked_s: float | None, most_s: float) -> float:
    """Seconds that a request has: the least of its field, its header and the server's setting.

    Raises:
        InvalidRequestError: the header is not a positive number of milliseconds.
    """
    header = request.headers.get(TIMEOUT_HEADER)
    limits = [most_s, asked_s or most_s]
    if header is not None:
        if not header.isdecimal() or not int(header):
            message = f"the header {TIMEOUT_HEADER} must be a whole number of milliseconds above 0"
            raise InvalidRequestError(message, TIMEOUT_HEADER)
        limits.append(int(header) / 1000)
    return min(limits)
