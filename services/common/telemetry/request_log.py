"""One log line for each request, whichever way it ends, and the id that joins it to the client's own log."""

import logging
import math
import re
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-Id"
PROBES: Final = frozenset({"/live", "/ready", "/health", "/healthz", "/metrics"})
"""Asked every few seconds by machines: logged at ``debug``."""
_ID: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")
"""What is taken as an id: at most 128 printable characters of ASCII."""
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""W3C's; the first group is the trace's id."""
LONGEST_PATH: Final = 200
"""Characters of a path that are kept."""
_GONE, _DEFECT = 499, 500


@dataclass(slots=True)
class RequestRecord:
    """What is known of a request so far; handlers add to ``fields``, and may set ``status`` if it is not the one sent.

    ``id`` is the client's, or None until one is made. Times are those of ``time.monotonic()``; ``answered_s`` is when
    a complete answer was there, None without one. ``ended_s`` is set with the log line, as ``status`` is by then.
    """

    id: str | None = None
    status: int | None = None
    fields: dict[str, object] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)
    answered_s: float | None = None
    ended_s: float = math.inf


_current: ContextVar[RequestRecord] = ContextVar("request_record")


def current_record() -> RequestRecord:
    """The record of the request being handled; outside of one, a record that nobody reads."""
    return _current.get(None) or RequestRecord()


class RequestLog:
    """ASGI middleware, outside of all others: gives every response its id, and logs every request once, at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log it even if that raises or is cancelled."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(id=client_id(Headers(scope=scope)))
        _current.set(record)
        sent: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = message["status"]
                record.id = record.id or f"req-{uuid.uuid4().hex}"
                MutableHeaders(scope=message)[REQUEST_ID] = record.id
            await send(message)

        ending = _GONE
        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            ending = _DEFECT
            raise
        finally:
            record.status = record.status or sent or ending
            record.ended_s = time.monotonic()
            said = {
                "id": record.id,
                "method": scope["method"],
                "route": scope["path"][:LONGEST_PATH],
                "status": record.status,
                "total_ms": round((record.ended_s - record.started_s) * 1000, 1),
            }
            _log.log(_level(scope["path"]), "request", extra=said | record.fields)


def client_id(headers: Headers) -> str | None:
    """The id in ``X-Request-Id`` if it can be one, else the trace's in ``traceparent``, else None."""
    if _ID.fullmatch(given := headers.get(REQUEST_ID, "")):
        return given
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return trace[1] if trace else None


def _level(path: str) -> int:
    return logging.DEBUG if path in PROBES else logging.INFO
