import pickle

import pytest

from services.wire import errors
from services.wire.errors import ServiceError

STATUSES = {
    "ServiceError": (500, "internal_error", "server_error"),
    "InvalidRequestError": (422, "invalid_value", "invalid_request_error"),
    "MalformedError": (400, "malformed_request", "invalid_request_error"),
    "ImageFetchError": (422, "image_not_fetched", "invalid_request_error"),
    "PromptTooLongError": (422, "context_length_exceeded", "invalid_request_error"),
    "UnauthorizedError": (401, "invalid_api_key", "invalid_request_error"),
    "NotFoundError": (404, "model_not_found", "invalid_request_error"),
    "RequestTimeoutError": (408, "request_timeout", "invalid_request_error"),
    "HeaderTooLargeError": (431, "header_too_large", "invalid_request_error"),
    "TooLargeError": (413, "too_large", "invalid_request_error"),
    "UnsupportedImageError": (415, "unsupported_image", "invalid_request_error"),
    "UnsupportedEncodingError": (415, "unsupported_encoding", "invalid_request_error"),
    "OverloadedError": (429, "overloaded", "invalid_request_error"),
    "NotReadyError": (503, "not_ready", "server_error"),
    "TooManyConnectionsError": (503, "too_many_connections", "server_error"),
    "DeadlineError": (504, "deadline_exceeded", "server_error"),
    "InternalError": (500, "internal_error", "server_error"),
}


def concrete(root: type[ServiceError]) -> list[type[ServiceError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in concrete(child))]


@pytest.mark.parametrize("kind", concrete(ServiceError))
def test_an_error_survives_the_way_between_processes(kind: type[ServiceError]) -> None:
    error = pickle.loads(pickle.dumps(kind("do this instead", "image")))  # noqa: S301 our own bytes
    assert (type(error), error.message, error.param, str(error)) == (
        kind,
        "do this instead",
        "image",
        "do this instead",
    )
    assert kind("do this instead").param is None


def test_every_error_has_its_status_its_code_and_whose_fault_it_is() -> None:
    told = {kind.__name__: (kind.status, kind.code, kind("").type) for kind in concrete(ServiceError)}
    assert told == STATUSES


def test_only_a_status_of_500_and_more_is_the_servers_fault() -> None:
    for status, kind in ((499, "invalid_request_error"), (500, "server_error")):
        error = ServiceError("")
        error.status = status  # type: ignore[misc]  # of a class that does not exist
        assert error.type == kind


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line for line in str(errors.__doc__).splitlines() if "Error " in line]
    assert [(line.split("─")[-1].split()[0], int(line.split("Error")[-1].split()[0])) for line in drawn] == [
        (kind.__name__, kind.status) for kind in concrete(ServiceError)[1:]
    ]
