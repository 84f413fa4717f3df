"""One request from its arrival to its end: its id and its time, and what is counted and logged of it."""

import logging
import time
import uuid
from types import TracebackType
from typing import Any, Self

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from services.common.http.error_handlers import problem
from services.common.http.metrics import Metrics
from services.wire.answer import AnswerResponse
from services.wire.errors import ServiceError

_log = logging.getLogger(__name__)
_GONE = 499
"""What proxies log for a client that went away; nobody receives it."""
_DEFECT = 500


class RequestScope:
    """Counts a request in flight from enter to exit, and its status once it has one."""

    def __init__(self, metrics: Metrics, route: str, prefix: str) -> None:
        self.id = f"{prefix}-{uuid.uuid4().hex}"
        self.started_s = time.monotonic()
        self._metrics = metrics
        self._route = route
        self._status: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries."""
        return {"X-Request-Id": self.id}

    def __enter__(self) -> Self:
        """Itself, counted as in flight."""
        self._metrics.in_flight.inc()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Count and log how it ended."""
        defect = isinstance(error, Exception) and not isinstance(error, ClientDisconnect)
        status = self._status or (_DEFECT if defect else _GONE)
        self._metrics.in_flight.dec()
        self._metrics.requests.labels(self._route, status).inc()
        _log.info("request", extra={"id": self.id, "status": status, "total_ms": round(self._total_ms(), 1)})

    def answered(self, response: AnswerResponse) -> AnswerResponse:
        """The answer with its whole time filled in."""
        self._status = 200
        timing = response.timing.model_copy(update={"total_ms": self._total_ms()})
        timed = response.model_copy(update={"timing": timing})
        self._metrics.answered(timed)
        return timed

    def refused(self, error: ServiceError) -> Response:
        """The error as an answer."""
        self._status = error.status
        return problem(error, self.headers)

    def _total_ms(self) -> float:
        return (time.monotonic() - self.started_s) * 1000


class HeldStream(StreamingResponse):
    """Server-sent events that let go of what they hold when they end, also if the client left before the first."""

    def __init__(self, events: Any, held: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 async iterator and exit stack
        super().__init__(events, media_type="text/event-stream", headers={**headers, "Cache-Control": "no-store"})
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 ASGI
        """Send the events."""
        async with self._held:
            await super().__call__(scope, receive, send)
