"""What applies to every route: a log line, ``HEAD`` where ``GET`` is answered, other origins if allowed, no upgrade."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.common.http.request_scope import IGNORED_FIELDS
from services.common.telemetry.request_log import REQUEST_ID, RequestLog


class PlainHTTP(H11Protocol):
    """HTTP/1.1 that declines an upgrade and answers the request, as RFC 9110 has it.

    ``curl --http2`` and Java's client offer one with every request. With uvicorn's other parser, httptools, such a
    request loses its body.
    """

    def _should_upgrade(self) -> bool:
        return False


class HeadAsGet:
    """Answers ``HEAD`` as ``GET``; the server under it leaves out the body, as it knows the method that was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def install(app: FastAPI, cors_origins: str) -> None:
    """Add what applies to every route; ``cors_origins`` are separated by commas, none by default."""
    app.add_middleware(HeadAsGet)
    origins = [origin.strip().rstrip("/") for origin in cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, IGNORED_FIELDS, "Retry-After"],
        )
    app.add_middleware(RequestLog)  # the last one added is outside of the others
