"""Whether requests are traced, by OpenTelemetry's environment variables; its SDK is not loaded unless they are."""

import asyncio
import logging
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.telemetry.request_log import PROBES, current_record

_log = logging.getLogger(__name__)
PACKAGE: Final = "opentelemetry-exporter-otlp-proto-http"
_PROTOCOL: Final = "http/protobuf"


def wanted() -> bool:
    """Whether the environment names a collector, and can be followed; if it cannot, a warning says what is missing."""
    endpoint = _setting("ENDPOINT")
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not endpoint or disabled or os.environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return False
    if (protocol := _setting("PROTOCOL") or _PROTOCOL) != _PROTOCOL:
        _log.warning("requests are not traced: OTEL_EXPORTER_OTLP_PROTOCOL is %s, set it to %s", protocol, _PROTOCOL)
        return False
    try:
        version(PACKAGE)
    except PackageNotFoundError:
        _log.warning("requests are not traced to %s: install the extra otel (%s)", endpoint, PACKAGE)
        return False
    return True


class Traces:
    """ASGI middleware, outside of the request log: traces every request but the probes, once it is logged.

    Made in the process that answers, where the threads are that send.
    """

    def __init__(self, app: ASGIApp, service: str) -> None:
        from services.common.telemetry.spans import Spans  # noqa: PLC0415 where nobody traces, it is not needed

        self._app = app
        self._spans = Spans(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; trace it even if that raises or is cancelled."""

        async def closing(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":  # the server does not wait for what comes after it
                await asyncio.to_thread(self._spans.close)
            await send(message)

        if scope["type"] == "lifespan":
            await self._app(scope, receive, closing)
        elif scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                self._spans.add(scope, current_record())


def _setting(name: str) -> str:
    """A setting of the exporter: that of traces, else that of all signals."""
    traces, all_signals = (os.environ.get(f"OTEL_EXPORTER_OTLP_{part}{name}", "").strip() for part in ("TRACES_", ""))
    return traces or all_signals
