"""Read a size-limited request body, JSON or multipart form, into a service's request model."""

from collections.abc import AsyncGenerator
from typing import Any, Final, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from services.common.http.content_encoding import bounded
from services.common.http.guards.bounded_json import BoundError, parse
from services.common.http.guards.remote_images import RemoteImages, remote_urls, with_images
from services.wire.contract import WireRequest, printable
from services.wire.errors import InvalidRequestError, MalformedError
from services.wire.image_data import decode_image
from services.wire.reading import Read, read

Model = TypeVar("Model", bound=WireRequest)

_NESTED_FIELDS: Final = frozenset({"lens"})
"""Object-valued fields: a form carries only text, so there they are encoded as JSON."""


async def read_request(
    request: Request, model: type[Model], max_bytes: int, remote: RemoteImages | None = None
) -> Read[Model]:
    """Parse and validate a JSON or multipart body; a ``Content-Encoding`` is undone first.

    With ``remote``, images that JSON gives as URLs are fetched, once the rest of the request is found to be valid.

    Raises:
        TooLargeError: the body is larger than ``max_bytes``, as sent or decoded; the rest of it is not read.
        UnsupportedEncodingError: the body is encoded in another way than gzip or deflate.
        MalformedError: neither JSON nor a multipart form, or beyond a bound of ``bounded_json``.
        InvalidRequestError: a field is missing, unknown or invalid; the error names the first.
        ImageFetchError: an image cannot be fetched.
    """
    encodings = ",".join(request.headers.getlist("content-encoding"))
    chunks = bounded(request.stream(), encodings, max_bytes)
    takes_form = "image" in model.model_fields
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()  # RFC 9110: in any case
    if media_type == "multipart/form-data" and takes_form:
        return read(model, await _read_form(request, chunks, max_bytes), strict=False)
    body = b"".join([chunk async for chunk in chunks])
    try:
        fields = parse(body)
    except BoundError as error:
        message = f"the body {error}"
        raise MalformedError(message) from error
    except ValueError as error:
        hint = "send JSON, or a multipart form with a file 'image'" if takes_form else "send JSON"
        message = f"the body is not JSON ({error}): {hint}"
        raise MalformedError(message) from error
    if not isinstance(fields, dict):
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        message = f"the body must be a JSON object with {' and '.join(required)}"
        raise MalformedError(message)
    if remote is not None and (urls := remote_urls(fields)):
        read(model, with_images(fields, dict.fromkeys(urls, b"")))
        fields = with_images(fields, await remote.fetch(urls))
    return read(model, fields)


async def _read_form(request: Request, chunks: AsyncGenerator[bytes, None], max_bytes: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    try:
        parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=16, max_part_size=max_bytes)
        form = await parser.parse()
    except MultiPartException as error:
        message = f"the multipart form cannot be read ({error})"
        raise MalformedError(message) from error
    try:
        for name, value in form.multi_items():
            if name in fields:
                message = f"the form has the field {printable(name)!r} twice: send it once"
                raise MalformedError(message)
            if isinstance(value, UploadFile):
                fields[name] = await value.read()
            elif name in _NESTED_FIELDS:
                fields[name] = _nested(name, value)
            elif name == "image":
                fields[name] = _image(value)
            else:
                fields[name] = value
    finally:
        await form.close()
    return fields


def _nested(name: str, value: str) -> Any:  # noqa: ANN401 any JSON value; the model validates it
    try:
        return parse(value.encode(errors="replace"))
    except BoundError as error:
        message = f"'{name}' {error}"
        raise InvalidRequestError(message, name) from error
    except ValueError as error:
        message = f"'{name}' must be encoded as JSON in a form ({error})"
        raise InvalidRequestError(message, name) from error


def _image(value: str) -> object:
    """An image sent as text: forms tell files from text by the file name alone."""
    try:
        return decode_image(value)
    except ValueError as error:
        message = (
            f"'image' has no file name in this form, so it was read as text, and it {error}; "
            'to send a file, give it a name, such as filename="image.png"'
        )
        raise InvalidRequestError(message, "image") from error
