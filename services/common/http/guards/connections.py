"""Connections: upgrades declined, and time limits and a number for those that are slow or many.

uvicorn waits for ever for a header, and for a client that does not read; its ``limit_concurrency`` refuses requests, on
old connections too, and bounds no connections.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.common.settings import ServerSettings
from services.wire.errors import (
    HeaderTooLargeError,
    MalformedError,
    RequestTimeoutError,
    ServiceError,
    TooManyConnectionsError,
    envelope,
)

_LINGER_S: Final = 1.0
"""How long a refused client has to read why, before its connection is closed; what it sends is not read."""


_LAST_CALL_S: Final = 0.25
"""How long an idle connection stays open when the server ends: a request may be on its way."""


def protocol(settings: ServerSettings, count: Callable[[ServiceError], None]) -> type[H11Protocol]:
    """The protocol for uvicorn, with these settings; ``count`` is told of each refusal, which no request stands for."""
    return type("LimitedHTTP", (_Limited,), {"settings": settings, "count": staticmethod(count)})


class PlainHTTP(H11Protocol):
    """HTTP/1.1 that declines an upgrade and answers the request, as RFC 9110 has it.

    ``curl --http2`` and Java's client offer one with every request. With uvicorn's other parser, httptools, such a
    request loses its body.
    """

    def _should_upgrade(self) -> bool:
        return False


class _Limited(PlainHTTP):
    settings: ServerSettings
    count: Callable[[ServiceError], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn
        """Take the connection, in place of the one that has waited longest if there are too many."""
        super().connection_made(transport)
        self._await_header()
        if len(self.connections) > self.settings.max_connections:
            waiting = [one for one in self.connections if isinstance(one, _Limited) and one.idle and one is not self]
            if waiting:
                min(waiting, key=lambda one: one.idle_since).transport.abort()
            else:
                message = f"all {self.settings.max_connections} connections of this server are in use: try again"
                self._refuse(TooManyConnectionsError(message))

    @property
    def idle(self) -> bool:
        """Whether no request is being answered: the connection was kept alive, or its header is not complete."""
        return self._header_timer is not None

    @property
    def idle_since(self) -> float:
        """Since when, by the loop's clock."""
        return self._header_timer.when() if self._header_timer else 0.0

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._refused:
            return
        self._begun = True
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # it is at first
            self._stop_header_timer()

    def on_response_complete(self) -> None:
        """Wait for the next request, and for the client to read this response."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._begun = False
            self._await_header()
        if self.transport.get_write_buffer_size():
            self._await_reader()

    def shutdown(self) -> None:
        """Close with the response that is under way, or soon: a request that comes until then is answered."""
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr] # it is at first
            self.loop.call_later(_LAST_CALL_S, self._last_call)
        else:
            super().shutdown()

    def _last_call(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_header_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """The error that uvicorn met, in our envelope; it calls this while it handles h11's exception."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == HeaderTooLargeError.status:
            message = "the request's header is too large: send fewer or shorter header fields"
            self._refuse(HeaderTooLargeError(message))
        else:
            message = f"this is not an HTTP request that can be read ({error or msg})"
            self._refuse(MalformedError(message))

    def _await_header(self) -> None:
        self._stop_header_timer()
        self._header_timer = self.loop.call_later(self.settings.header_timeout_s, self._header_late)

    def _header_late(self) -> None:
        self._header_timer = None
        if self._begun and self.conn.their_state is h11.IDLE:
            limit = self.settings.header_timeout_s
            message = f"the request's header did not come within {limit:g} s: send it again, in one piece"
            self._refuse(RequestTimeoutError(message))
        else:  # a client that has sent nothing expects nothing
            self._close()

    def _refuse(self, error: ServiceError) -> None:
        """Answer without a request, and close once the client has had time to read it."""
        self._refused = True
        self.count(error)
        self._stop_header_timer()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = envelope(error).model_dump_json().encode()
            headers = [
                ("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close"),
            ]  # fmt: skip
            if error.retry_after_s is not None:
                headers.append(("retry-after", str(error.retry_after_s)))
            head = h11.Response(status_code=error.status, headers=headers)
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():  # closed at once, what the client still sends would discard the answer
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.abort)
        else:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self._await_reader()

    def _await_reader(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.settings.write_timeout_s, self._reader_late)

    def _reader_late(self) -> None:
        self._write_timer = None
        if self.transport.get_write_buffer_size() or self.transport.is_closing():
            self.transport.abort()

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
