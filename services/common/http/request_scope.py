"""One request from arrival to completion: its id, its timing, its metrics, and what the log says of it."""

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
from services.common.telemetry.request_log import current_record
from services.common.worker.messages import WorkerAnswer
from services.wire.answer import AnswerResponse, ModelCard, Timing
from services.wire.errors import DeadlineError, InternalError, ServiceError

_LEFT = "client_disconnected"
"""The reason where a client disconnects."""
_DEFECT = InternalError.status
_ANSWERED = 200
IGNORED_FIELDS = "X-Ignored-Fields"
"""A header of our own."""
_LONGEST_HEADER = 2000


class RequestScope:
    """Counts a request as in flight until the context exits, then records how it ended and how long it took."""

    def __init__(self, metrics: Metrics, card: ModelCard, route: str, prefix: str) -> None:
        self.id = f"{prefix}-{uuid.uuid4().hex}"
        """Unique, whatever the client calls its request."""
        self.started_s = time.monotonic()
        self._record = current_record()
        self._record.id = self._record.id or self.id
        self._record.fields |= {"job": self.id, "route": route}
        self._metrics = metrics
        self._card = card
        self._route = route
        self._ended: _End | None = None
        self.ignored: list[str] = []
        """The request's fields that have no effect."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every response."""
        return {IGNORED_FIELDS: _in_header(self.ignored)} if self.ignored else {}

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
            self._record.fields["code"] = end.code
        self._record.status = end.status

    def answered(self, answer: WorkerAnswer) -> AnswerResponse:
        """Complete the worker's answer with the request id, the model and the total time."""
        self._ended = self._end(_ANSWERED)
        self._metrics.answered(answer, self.started_s)
        self._record.answered_s = self.started_s + self._ended.total_ms / 1000
        self._record.fields |= {
            "queue_ms": round(answer.queue_ms, 1),
            "preprocess_ms": round(answer.preprocess_ms, 1),
            "inference_ms": round(answer.inference_ms, 1),
            "prompt_tokens": answer.usage.prompt_tokens,
            "completion_tokens": answer.usage.completion_tokens,
        }
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
