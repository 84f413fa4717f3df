"""Decode untrusted image bytes, with all sizes checked before anything is decoded.

``probe`` reads only the header and is cheap enough for the HTTP process; ``decode`` runs in the worker.
"""

import io
import warnings
from typing import Final

from PIL import ExifTags, Image, ImageOps

from services.wire.errors import TooLargeError, UnsupportedImageError

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_TURNED_ON_ITS_SIDE: Final = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def probe(data: bytes, max_bytes: int, max_pixels: int) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        TooLargeError: more bytes or pixels than allowed.
        UnsupportedImageError: empty, or not an image in one of ``FORMATS``.
    """
    if not data:
        message = "the image is empty (0 bytes)"
        raise UnsupportedImageError(message, "image")
    if len(data) > max_bytes:
        message = f"the image has {len(data)} bytes, the limit is {max_bytes}: scale it down"
        raise TooLargeError(message, "image")
    with _open(data) as image:
        width, height = image.size
    if width * height > max_pixels:
        message = f"the image has {width} x {height} pixels, the limit is {max_pixels} in total: scale it down"
        raise TooLargeError(message, "image")
    return width, height


def decode(data: bytes) -> Image.Image:
    """Decode to RGB: rotated by the EXIF tag, transparency composited on white, first frame of an animation.

    White, because charts are often saved without a background, and black text on black is unreadable.

    Raises:
        UnsupportedImageError: not an image, or corrupt or truncated.
    """
    with _open(data) as image:
        try:
            upright = ImageOps.exif_transpose(_in_8_bits(image))
            if not upright.has_transparency_data:
                return upright.convert("RGB")
            rgba = upright.convert("RGBA")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow's readers raise on broken data
            message = f"the image is corrupt or truncated ({error})"
            raise UnsupportedImageError(message, "image") from error
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of what ``decode`` returns, without decoding where the format allows it.

    Raises:
        UnsupportedImageError: as ``decode``.
    """
    with _open(data) as image:
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        except (OSError, SyntaxError, ValueError) as error:
            message = f"the image is corrupt or truncated ({error})"
            raise UnsupportedImageError(message, "image") from error
        width, height = image.size
    return (height, width) if orientation in _TURNED_ON_ITS_SIDE else (width, height)


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greyscale to 8 bits: Pillow's ``convert`` clips at 255, which turns most of the image white."""
    return image.point(lambda grey: grey / 256).convert("L") if image.mode == "I;16" else image


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # probe has its own, lower limit
        try:
            return Image.open(io.BytesIO(data), formats=FORMATS)
        except Image.DecompressionBombError as error:
            message = f"the image is too large ({error}): scale it down"
            raise TooLargeError(message, "image") from error
        except (OSError, SyntaxError, ValueError) as error:
            message = f"the bytes are not an image that can be read: send one of {', '.join(FORMATS)}"
            raise UnsupportedImageError(message, "image") from error
