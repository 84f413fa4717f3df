"""Read a size-limited request body, JSON or multipart form, into a service's request model."""

import json
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from services.wire.errors import InvalidRequestError, MalformedError, ServiceError, TooLargeError

Model = TypeVar("Model", bound=BaseModel)

_NESTED_FIELDS = frozenset({"lens"})
"""Object-valued fields: a form carries only text, so there they are encoded as JSON."""

_UNREADABLE = (ValueError, RecursionError)
"""What ``json.loads`` raises on invalid JSON, invalid UTF-8, or nesting beyond Python's recursion limit."""

_LISTED_FIELDS = 12
"""An error message that listed more fields would be hard to read."""


async def read_request(request: Request, model: type[Model], max_bytes: int) -> Model:
    """Parse and validate a JSON or multipart body.

    Raises:
        TooLargeError: the body is larger than ``max_bytes``; the rest of it is not read.
        MalformedError: neither JSON nor a multipart form.
        InvalidRequestError: a field is missing, unknown or invalid; the error names the first.
    """
    content_type = request.headers.get("content-type", "").lower()  # RFC 9110: in any case
    if content_type.startswith("multipart/form-data") and "image" in model.model_fields:
        return _validate(model, await _read_form(request, max_bytes), strict=False)
    body = b"".join([chunk async for chunk in _bounded(request, max_bytes)])
    try:
        fields = json.loads(body)
    except _UNREADABLE as error:
        message = f"the body is not JSON ({error}): send JSON, or a multipart form with a file 'image'"
        raise MalformedError(message) from error
    if not isinstance(fields, dict):
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        message = f"the body must be a JSON object with {' and '.join(required)}"
        raise MalformedError(message)
    return _validate(model, fields, strict=True)


async def _bounded(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            message = f"the body is larger than {max_bytes} bytes: scale the image down"
            raise TooLargeError(message)
        yield chunk


async def _read_form(request: Request, max_bytes: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    try:
        parser = MultiPartParser(request.headers, _bounded(request, max_bytes), max_files=1, max_fields=16)
        form = await parser.parse()
    except MultiPartException as error:
        message = f"the multipart form cannot be read ({error})"
        raise MalformedError(message) from error
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                fields[name] = await value.read()
            elif name in _NESTED_FIELDS:
                fields[name] = _nested(name, value)
            else:
                fields[name] = value
    finally:
        await form.close()
    return fields


def _nested(name: str, value: str) -> Any:  # noqa: ANN401 any JSON value; the model validates it
    try:
        return json.loads(value)
    except _UNREADABLE as error:
        message = f"'{name}' must be encoded as JSON in a form ({error})"
        raise InvalidRequestError(message, name) from error


def _validate(model: type[Model], fields: dict[str, Any], *, strict: bool) -> Model:
    try:
        return model.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise _explain(error, model) from error


def _explain(error: ValidationError, model: type[BaseModel]) -> ServiceError:
    """The first validation error, as a sentence that names the field."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        fields = list(model.model_fields)
        hint = f"; the fields are {', '.join(fields)}" if len(fields) <= _LISTED_FIELDS else ", see /docs"
        message = f"'{name}' is not a field of this request{hint}"
    elif first["type"] == "missing":
        message = f"'{name}' is missing"
    else:
        prefix = f"'{name}': " if name else ""  # a check across several fields has no name
        message = prefix + first["msg"].removeprefix("Value error, ")
    return InvalidRequestError(message, name or None)
