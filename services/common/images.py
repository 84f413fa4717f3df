"""Images of a request: their sizes checked before anything is decoded, and errors as the services have them.

``probe`` reads only the header and is cheap enough for the HTTP process; ``decode`` runs in the worker.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

import imaging.decode
from imaging.errors import ImageError, ImageTooLargeError
from services.wire.errors import TooLargeError, UnsupportedImageError


def probe(data: bytes, max_bytes: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        TooLargeError: more bytes or pixels than allowed.
        UnsupportedImageError: empty, or not an image in one of ``imaging.formats.FORMATS``.
    """
    if not data:
        message = "the image is empty (0 bytes)"
        raise UnsupportedImageError(message, "image")
    if len(data) > max_bytes:
        message = f"the image has {len(data)} bytes, the limit is {max_bytes}: scale it down"
        raise TooLargeError(message, "image")
    with _as_service_errors():
        width, height = imaging.decode.stored_size(data)
    if width * height > max_pixels:
        message = f"the image has {width} x {height} pixels, the limit is {max_pixels} in total: scale it down"
        raise TooLargeError(message, "image")
    return width, height


def decode(data: bytes) -> Image.Image:
    """Decode to RGB as a browser shows it, see ``imaging.decode.decode``.

    Raises:
        TooLargeError: more pixels than Pillow opens.
        UnsupportedImageError: not an image, or corrupt or truncated.
    """
    with _as_service_errors():
        return imaging.decode.decode(data)


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of what ``decode`` returns, without decoding.

    Raises:
        TooLargeError: as ``decode``.
        UnsupportedImageError: as ``decode``.
    """
    with _as_service_errors():
        return imaging.decode.upright_size(data)


@contextmanager
def _as_service_errors() -> Iterator[None]:
    try:
        yield
    except ImageTooLargeError as error:
        raise TooLargeError(str(error), "image") from error
    except ImageError as error:
        raise UnsupportedImageError(str(error), "image") from error
