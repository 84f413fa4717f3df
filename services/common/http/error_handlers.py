"""The one place that turns an error into an HTTP answer: OpenAI's envelope, under its status."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from services.wire.errors import ErrorEnvelope, InternalError, Problem, ServiceError, envelope

_log = logging.getLogger(__name__)


def problem(error: ServiceError, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in OpenAI's envelope, under its status."""
    return JSONResponse(envelope(error).model_dump(), status_code=error.status, headers=headers)


def install(app: FastAPI) -> None:
    """Answer whatever a handler does not: FastAPI's own refusals, and defects."""
    app.add_exception_handler(HTTPException, _refusal)
    app.add_exception_handler(Exception, _defect)


async def _refusal(_: Request, error: Exception) -> Response:
    """No such route, or a wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 narrows what add_exception_handler promises
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"  # noqa: PLR2004 HTTP's boundary
    body = ErrorEnvelope(error=Problem(message=str(error.detail), type=kind, code="http_error"))
    return JSONResponse(body.model_dump(), status_code=error.status_code, headers=error.headers)


async def _defect(_: Request, error: Exception) -> Response:
    _log.error("defect in a handler", exc_info=error)
    message = "the server failed on this request; its log has the trace"
    return problem(InternalError(message))
