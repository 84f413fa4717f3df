"""Errors of a request, with their HTTP status.

::

    ServiceError
    ├── InvalidRequestError     422  well-formed, but a value is invalid
    │   ├── MalformedError      400  neither JSON nor a multipart form
    │   ├── ImageFetchError     422  an image at a URL that is not fetched
    │   └── PromptTooLongError  422  images, text and answer exceed the model's or the server's limit
    ├── UnauthorizedError       401  no API key, or a wrong one
    ├── NotFoundError           404  no model of that name
    ├── RequestTimeoutError     408  the request did not come in time
    ├── TooLargeError           413  more bytes or pixels than the server accepts
    ├── UnsupportedImageError   415  not an image in a supported format, or corrupt
    ├── UnsupportedEncodingError 415 a body in a Content-Encoding that is not read
    ├── OverloadedError         429  as many requests as the server takes, or none that would be done in time
    ├── HeaderTooLargeError     431  more header than the server reads
    ├── NotReadyError           503  the model is not ready (yet, or any more)
    ├── TooManyConnectionsError 503  every connection that the server takes has a request
    ├── DeadlineError           504  no answer within the timeout
    └── InternalError           500  a bug in the server

The worker returns errors as values to the HTTP process, where ``error_handlers.py`` turns them into OpenAI's envelope.
Apart from the status, nothing here depends on HTTP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

from services.wire.contract import WireResponse

ErrorType = Literal["invalid_request_error", "server_error"]


class ServiceError(Exception):
    """Base class: an actionable message for the caller, and the field it concerns."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None
    """Seconds for the ``Retry-After`` header, where nothing is wrong but the moment."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)  # pickle passes this back to __init__ before it restores the fields
        self.message = message
        self.param = param

    @property
    def type(self) -> ErrorType:
        """OpenAI's error type: the client's fault or the server's."""
        return "invalid_request_error" if self.status < 500 else "server_error"  # noqa: PLR2004 the HTTP class boundary


class InvalidRequestError(ServiceError):
    """The request was parsed, but one of its values is invalid."""

    status = 422
    code = "invalid_value"


class MalformedError(InvalidRequestError):
    """The request could not be parsed."""

    status = 400
    code = "malformed_request"


class ImageFetchError(InvalidRequestError):
    """An image at a URL that is not allowed, or that its host does not give."""

    code = "image_not_fetched"


class PromptTooLongError(InvalidRequestError):
    """Images, text and the requested answer together exceed the model's or the server's limit."""

    code = "context_length_exceeded"


class UnauthorizedError(ServiceError):
    """The server needs an API key, and the request has none, or a wrong one."""

    status = 401
    code = "invalid_api_key"


class NotFoundError(ServiceError):
    """There is no model of that name."""

    status = 404
    code = "model_not_found"


class RequestTimeoutError(ServiceError):
    """The request's header or body did not come in time."""

    status = 408
    code = "request_timeout"


class TooLargeError(ServiceError):
    """More bytes or pixels than the server accepts; checked before anything is decoded."""

    status = 413
    code = "too_large"


class UnsupportedImageError(ServiceError):
    """The bytes are not an image in a supported format, or the image is corrupt."""

    status = 415
    code = "unsupported_image"


class UnsupportedEncodingError(ServiceError):
    """The body has a ``Content-Encoding`` that is not read."""

    status = 415
    code = "unsupported_encoding"


class OverloadedError(ServiceError):
    """The server has as many requests as it takes, or would not answer this one by its deadline."""

    status = 429
    code = "overloaded"

    def __init__(self, message: str, param: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message, param)
        self.retry_after_s = retry_after_s


class HeaderTooLargeError(ServiceError):
    """The request's header is larger than the server reads."""

    status = 431
    code = "header_too_large"


class NotReadyError(ServiceError):
    """The model is not ready: still loading, shutting down, stuck, or its worker died."""

    status = 503
    code = "not_ready"
    retry_after_s = 1


class TooManyConnectionsError(ServiceError):
    """Every connection that the server takes has a request."""

    status = 503
    code = "too_many_connections"
    retry_after_s = 1


class DeadlineError(ServiceError):
    """No answer within the timeout."""

    status = 504
    code = "deadline_exceeded"


class InternalError(ServiceError):
    """A bug in the server; the log has the traceback under the request id."""


@contextmanager
def named(field: str) -> Iterator[None]:
    """Errors raised in the block are about this field."""
    try:
        yield
    except ServiceError as error:
        error.param = field
        raise


class Problem(WireResponse):
    """An error, in OpenAI's format."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(WireResponse):
    """Body of every error response."""

    error: Problem


def envelope(error: ServiceError) -> ErrorEnvelope:
    """Wrap an error in OpenAI's format."""
    return ErrorEnvelope(error=Problem(message=error.message, type=error.type, param=error.param, code=error.code))
