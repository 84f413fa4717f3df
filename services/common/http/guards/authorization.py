"""``Authorization: Bearer KEY`` on every path but the few that are open, checked before a body is read."""

from collections.abc import Callable
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.http.error_handlers import problem
from services.common.security.api_keys import KeyFile
from services.common.settings import ServerSettings
from services.wire.errors import ServiceError, UnauthorizedError

_PROBES: Final = frozenset({"/live", "/ready", "/health", "/healthz"})
_DOCS: Final = frozenset({"/docs", "/openapi.json"})
_DOCS_FILES: Final = "/docs/static/"


class Authorization:
    """Refuses what has no valid key with 401; the router is not asked, and ``count`` is told.

    Paths are open by the very string that the router compares, so a path in any other spelling is not open.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyFile,
        count: Callable[[ServiceError], None],
        *,
        open_metrics: bool,
        open_docs: bool,
    ) -> None:
        self._app = app
        self._keys = keys
        self._count = count
        self._open = _PROBES | ({"/metrics"} if open_metrics else set()) | (_DOCS if open_docs else set())
        self._open_docs = open_docs

    @classmethod
    def options(cls, settings: ServerSettings) -> dict[str, Any] | None:
        """Its options by the settings; None if no keys are set, so that everything is open."""
        if settings.api_keys_file is None:
            return None
        return {
            "keys": KeyFile(settings.api_keys_file),
            "open_metrics": settings.open_metrics,
            "open_docs": settings.open_docs,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            self._check(Headers(scope=scope).getlist("authorization"))
        except UnauthorizedError as error:
            self._count(error)
            await problem(error, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or (self._open_docs and path.startswith(_DOCS_FILES))

    def _check(self, sent: list[str]) -> None:
        if not sent:
            message = "this server needs an API key: send the header 'Authorization: Bearer KEY'"
            raise UnauthorizedError(message)
        scheme, _, key = sent[0].partition(" ")
        if len(sent) > 1 or scheme.lower() != "bearer":
            message = "the API key cannot be read: send one header 'Authorization: Bearer KEY'"
            raise UnauthorizedError(message)
        if not self._keys.holds(key.strip()):
            message = "the API key is not one of this server's: check the key, or ask whoever runs the server for one"
            raise UnauthorizedError(message)
