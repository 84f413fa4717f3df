"""One request from arrival to completion: its id, timing, metrics and log line."""

import logging
import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from services.common.http.error_handlers import GONE, problem
from services.common.telemetry.metrics import Metrics, Outcome
from services.common.worker.messages import WorkerAnswer
from services.wire.answer import AnswerResponse, ModelCard, Timing
from services.wire.errors import DeadlineError, InternalError, ServiceError

_log = logging.getLogger(__name__)
_LEFT = "client_disconnected"
"""The reason where a client disconnects."""
_DEFECT = InternalError.status
_ANSWERED = 200
REQUEST_ID, IGNORED_FIELDS = "X-Request-Id", "X-Ignored-Fields"
"""Headers of our own."""
_LONGEST_HEADER = 2000


class RequestScope:
    """Counts a request as in flight until the context exits, then records how it ended and how long it took."""

    def __init__(self, metrics: Metrics, card: ModelCard, route: str, prefix: str) -> None:
        self.id = f"{prefix}-{uuid.uuid4().hex}"
        self.started_s = time.monotonic()
        self._metrics = metrics
        self._card = card
        self._route = route
        self._ended: _End | None = None
        self.ignored: list[str] = []
        """The request's fields that have no effect."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every response."""
        named = {IGNORED_FIELDS: _in_header(self.ignored)} if self.ignored else {}
        return {REQUEST_ID: self.id, **named}

    def __enter__(self) -> Self:
        self._metrics.in_flight.inc()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        defect = isinstance(error, Exception) and not isinstance(error, ClientDisconnect)
        if self._ended is None:
            self._ended = self._end(_DEFECT, InternalError.code) if defect else self._end(GONE, _LEFT)
        end = self._ended
        self._metrics.in_flight.dec()
        self._metrics.ended(self._route, end.status, self._card.variant, end.total_ms / 1000)
        if end.code is not None:
            self._metrics.not_answered(_outcome(end.status), end.code)
        _log.info("request", extra={"id": self.id, "status": end.status, "total_ms": round(end.total_ms, 1)})

    def answered(self, answer: WorkerAnswer) -> AnswerResponse:
        """Complete the worker's answer with the request id, the model and the total time."""
        self._ended = self._end(_ANSWERED)
        self._metrics.answered(answer, self.started_s)
        return AnswerResponse(
            id=self.id,
            model=self._card.id,
            variant=self._card.variant,
            answer=answer.text,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            timing=Timing(
                queue_ms=answer.queue_ms,
                preprocess_ms=answer.preprocess_ms,
                inference_ms=answer.inference_ms,
                total_ms=self._ended.total_ms,
            ),
            cache=answer.cache,
            lens=answer.lens,
        )

    def refused(self, error: ServiceError) -> Response:
        """The error as a response."""
        self._ended = self._end(error.status, error.code)
        return problem(error, self.headers)

    def _end(self, status: int, code: str | None = None) -> "_End":
        return _End(status, code, (time.monotonic() - self.started_s) * 1000)


@dataclass(frozen=True, slots=True)
class _End:
    """How a request ended, with the code of its error if it was not answered, and how long it took."""

    status: int
    code: str | None
    total_ms: float


def _outcome(status: int) -> Outcome:
    named: dict[int, Outcome] = {GONE: "cancelled", DeadlineError.status: "deadline_exceeded", _DEFECT: "failed"}
    return named.get(status, "refused")


def _in_header(names: list[str]) -> str:
    """Names that a client chose, fit for a header: percent-encoded, and cut where servers stop reading."""
    text = ", ".join(quote(name, safe="") for name in names)
    return text if len(text) <= _LONGEST_HEADER else f"{text[:_LONGEST_HEADER].rpartition(',')[0]}, ..."


class HeldStream(StreamingResponse):
    """Server-sent events that release the request's resources at the end, even if the client disconnects early."""

    def __init__(self, events: Any, held: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 async iterator and exit stack
        super().__init__(events, media_type="text/event-stream", headers={**headers, "Cache-Control": "no-store"})
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 ASGI
        """Send the events and release the resources."""
        async with self._held:
            await super().__call__(scope, receive, send)
