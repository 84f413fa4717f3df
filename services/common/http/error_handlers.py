"""The one place that turns an error into an HTTP response: OpenAI's error envelope with the error's status."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware

from services.wire.errors import ErrorEnvelope, InternalError, Problem, ServiceError, envelope

_log = logging.getLogger(__name__)


def problem(error: ServiceError, headers: dict[str, str] | None = None) -> JSONResponse:
    """A response with OpenAI's error envelope and the error's status."""
    return JSONResponse(envelope(error).model_dump(), status_code=error.status, headers=headers)


def install(app: FastAPI) -> None:
    """Handle the errors that route handlers do not: FastAPI's own HTTP errors, and bugs."""
    app.add_exception_handler(HTTPException, _refusal)
    # FastAPI's own handler of exceptions would answer outside of all middleware, and so without CORS headers
    app.add_middleware(ServerErrorMiddleware, handler=_defect)


async def _refusal(_: Request, error: Exception) -> Response:
    """Unknown route or wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 narrows what add_exception_handler promises
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"  # noqa: PLR2004 HTTP's boundary
    body = ErrorEnvelope(error=Problem(message=str(error.detail), type=kind, code="http_error"))
    return JSONResponse(body.model_dump(), status_code=error.status_code, headers=error.headers)


async def _defect(_: Request, error: Exception) -> Response:
    _log.error("unhandled exception in a request handler", exc_info=error)
    message = "internal server error; the server's log has the traceback"
    return problem(InternalError(message))
