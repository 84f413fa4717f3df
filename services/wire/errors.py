"""What can go wrong with a request, each with its HTTP status.

::

    ServiceError
    ├── InvalidRequestError     422  well-formed, but a value is not acceptable
    │   ├── MalformedError      400  not JSON, not base64, no multipart form
    │   └── PromptTooLongError  422  images, text and answer do not fit the model or the server's limit
    ├── TooLargeError           413  more bytes or pixels than the server takes
    ├── UnsupportedImageError   415  not an image of a known format, or a broken one
    ├── NotReadyError           503  the model cannot answer (yet, or any more)
    ├── DeadlineError           504  no answer within the server's time limit
    └── InternalError           500  a defect of ours

An error is a value that crosses from the worker process to the HTTP process, where one place (``routes.py``) turns it
into OpenAI's envelope. Nothing here knows HTTP beyond the number.
"""

from typing import ClassVar, Literal

from services.wire.contract import WireResponse

ErrorType = Literal["invalid_request_error", "server_error"]


class ServiceError(Exception):
    """Root of the tree: a message for the caller that says what to do, and the field it is about."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)  # what pickle makes it anew from, before it brings the fields back
        self.message = message
        self.param = param

    @property
    def type(self) -> ErrorType:
        """OpenAI's class of the error: the caller's fault or the server's."""
        return "invalid_request_error" if self.status < 500 else "server_error"  # noqa: PLR2004 the HTTP class boundary


class InvalidRequestError(ServiceError):
    """The request was understood, and one of its values cannot be accepted."""

    status = 422
    code = "invalid_value"


class MalformedError(InvalidRequestError):
    """The request could not be read at all."""

    status = 400
    code = "malformed_request"


class PromptTooLongError(InvalidRequestError):
    """Images, text and the answer asked for are together longer than the model or the server takes."""

    code = "context_length_exceeded"


class TooLargeError(ServiceError):
    """More bytes or pixels than the server takes; checked before anything is decoded."""

    status = 413
    code = "too_large"


class UnsupportedImageError(ServiceError):
    """The bytes are no image of a known format, or a broken one."""

    status = 415
    code = "unsupported_image"


class NotReadyError(ServiceError):
    """The model cannot answer now: still loading, draining, or its worker is gone."""

    status = 503
    code = "not_ready"


class DeadlineError(ServiceError):
    """No answer within the server's time limit."""

    status = 504
    code = "deadline_exceeded"


class InternalError(ServiceError):
    """A defect of ours; the log has the trace under the same request id."""


class Problem(WireResponse):
    """What went wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorEnvelope(WireResponse):
    """Body of every answer that is not a success."""

    error: Problem


def envelope(error: ServiceError) -> ErrorEnvelope:
    """An error in OpenAI's words."""
    return ErrorEnvelope(error=Problem(message=error.message, type=error.type, param=error.param, code=error.code))
