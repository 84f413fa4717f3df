"""The one place that turns an error into an HTTP response: OpenAI's error envelope with the error's status."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import ClientDisconnect

from services.common.telemetry.request_log import current_record
from services.wire.contract import printable
from services.wire.errors import ErrorEnvelope, InternalError, Problem, ServiceError, envelope

_log = logging.getLogger(__name__)
GONE = 499
"""The status that proxies log when a client disconnects; it is never sent."""
_HTTP_ERROR = "http_error"


def problem(error: ServiceError, headers: dict[str, str] | None = None) -> JSONResponse:
    """A response with OpenAI's error envelope and the error's status; its code is logged."""
    current_record().fields["code"] = error.code
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(envelope(error).model_dump(), status_code=error.status, headers={**(headers or {}), **retry})


def install(app: FastAPI) -> None:
    """Handle the errors that route handlers do not: FastAPI's own HTTP errors, and bugs."""
    app.add_exception_handler(HTTPException, _refusal)
    app.add_exception_handler(ClientDisconnect, _unsent)
    # FastAPI's own handler of exceptions would answer outside of all middleware, and so without CORS headers
    app.add_middleware(ServerErrorMiddleware, handler=_defect)


async def _unsent(_: Request, __: Exception) -> Response:
    """There is nobody to send it to."""
    return Response(status_code=GONE)


async def _refusal(request: Request, error: Exception) -> Response:
    """Unknown route or wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 narrows what add_exception_handler promises
    current_record().fields["code"] = _HTTP_ERROR
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"  # noqa: PLR2004 HTTP's boundary
    body = ErrorEnvelope(error=Problem(message=_sentence(request, error), type=kind, code=_HTTP_ERROR))
    return JSONResponse(body.model_dump(), status_code=error.status_code, headers=error.headers)


def _sentence(request: Request, error: HTTPException) -> str:
    """What Starlette refuses without a word of its own, which is the status' name, is said in a sentence."""
    path, said = printable(request.url.path), (error.status_code, error.detail)
    if said == (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.phrase):
        return f"there is no {path} here: see /docs for what there is"
    if said == (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED.phrase):
        return f"{path} does not answer {printable(request.method)}: send {(error.headers or {})['Allow']}"
    return str(error.detail)


async def _defect(_: Request, error: Exception) -> Response:
    _log.error("unhandled exception in a request handler", exc_info=error)
    message = "internal server error; the server's log has the traceback"
    return problem(InternalError(message))
