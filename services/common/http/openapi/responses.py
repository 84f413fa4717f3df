"""The statuses of each route, and what they mean."""

from collections.abc import Iterable
from typing import Any, Final

from services.wire.errors import ErrorEnvelope

_MEANING: Final = {
    400: "The body is neither JSON nor a multipart form.",
    401: "An API key is needed, or this one is wrong.",
    404: "There is no model of that name.",
    405: "The route does not answer this method.",
    408: "The request did not come in time.",
    413: "The body or the image has more bytes or pixels than the server accepts.",
    415: "The image's format or the body's encoding is not read.",
    422: "A field is missing, unknown or has a value that is not accepted.",
    429: "The server has as many requests as it takes, or cannot answer in time: see `Retry-After`.",
    431: "The header is larger than the server reads.",
    500: "A defect of the server.",
    503: "The model is not ready, or the server is stopping: see `Retry-After`.",
    504: "No answer within the time that the request had.",
}
_EVERY_ROUTE: Final = (401, 405, 408, 431, 500, 503)

Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """These statuses and those that every route has, as OpenAI's error envelope."""
    return _described((*statuses, *_EVERY_ROUTE))


def question_errors() -> Responses:
    """The statuses of a route that takes questions."""
    return _described(status for status in _MEANING if status != 404)  # noqa: PLR2004 not found


def _described(statuses: Iterable[int]) -> Responses:
    return {status: {"model": ErrorEnvelope, "description": _MEANING[status]} for status in sorted(set(statuses))}


STREAM: Final[dict[str, Any]] = {
    "description": "The completion; with `stream`, server-sent events, each a `ChatChunk`, then `[DONE]`.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
PLAIN_TEXT: Final[dict[str, Any]] = {
    "description": "Prometheus' text format, or OpenMetrics if `Accept` asks for it.",
    "content": {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")},
}
