"""Headers that tell a browser what a response is not for, on every response, errors included."""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_UNLESS_SET: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_STATIC: Final = "/docs/static/"
"""The files of ``/docs``, which are the same for everybody, and may be kept."""


class SecurityHeaders:
    """Adds them; a page that needs another ``Content-Security-Policy`` sets its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                for name, value in _UNLESS_SET.items():
                    if name != "Cache-Control" or not scope["path"].startswith(_STATIC):
                        headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
