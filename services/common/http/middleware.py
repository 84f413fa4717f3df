"""What applies to every route: log and trace, keys, time limits, ``HEAD`` where ``GET`` is answered, other origins."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.http.guards.authorization import Authorization
from services.common.http.guards.body_time import BodyTime
from services.common.http.guards.security_headers import SecurityHeaders
from services.common.http.request_scope import IGNORED_FIELDS
from services.common.settings import ServerSettings
from services.common.telemetry import traces
from services.common.telemetry.request_log import REQUEST_ID, RequestLog
from services.wire.errors import ServiceError


class HeadAsGet:
    """Answers ``HEAD`` as ``GET``; the server under it leaves out the body, as it knows the method that was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class ClosesWhenDraining:
    """Tells clients that keep their connection to open another, to another server, once this one is stopping."""

    def __init__(self, app: ASGIApp, is_draining: Callable[[], bool]) -> None:
        self._app = app
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_draining():
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, send_on if scope["type"] == "http" else send)


def install(
    app: FastAPI,
    settings: ServerSettings,
    is_draining: Callable[[], bool],
    count: Callable[[ServiceError], None],
) -> None:
    """Add what applies to every route, from the inside out; ``count`` is told of what no route refuses."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(BodyTime, whole_s=settings.body_timeout_s, pause_s=settings.header_timeout_s)
    if keys := Authorization.options(settings):
        app.add_middleware(Authorization, **keys, count=count)
    app.add_middleware(ClosesWhenDraining, is_draining=is_draining)
    # outside of keys: a browser asks without one whether it may ask, and must be able to read a refusal
    origins = [origin.strip().rstrip("/") for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, IGNORED_FIELDS, "Retry-After"],
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog)  # the last one added is outside of the others
    if traces.wanted():
        service = settings.model_config.get("env_prefix", "").strip("_").replace("_", "-").lower()
        app.add_middleware(traces.Traces, service=f"tallyglass-{service}")
