"""Decode untrusted image files to what a browser shows."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import GifImagePlugin, Image, UnidentifiedImageError

from imaging.colours import to_srgb
from imaging.errors import ImageError, ImageTooLargeError
from imaging.formats import format_of
from imaging.orientation import orientation, turned, turned_size
from imaging.png import read_png


@dataclass(frozen=True, slots=True)
class _Opened:
    image: Image.Image
    orientation: int
    profile: bytes | None
    transparent: tuple[int, ...] | None


def stored_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as stored, without decoding.

    Raises:
        ImageError: as ``decode``, if the file's beginning shows it.
    """
    with _open(data) as opened:
        return opened.image.size


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of what ``decode`` returns, without decoding.

    Raises:
        ImageError: as ``decode``, if the file's beginning shows it.
    """
    with _open(data) as opened:
        return turned_size(opened.image.size, opened.orientation)


def decode(data: bytes) -> Image.Image:
    """Decode to RGB in sRGB: turned upright, transparency on white, the first frame of an animation.

    White, as browsers have it: charts are often saved without a background, and black on black is unreadable.

    Raises:
        ImageError: not in one of ``FORMATS``, or corrupt or truncated.
        ImageTooLargeError: more pixels than Pillow opens.
    """
    with _open(data) as opened:
        image = opened.image
        if image.info.get("default_image"):  # an animated PNG whose first image is for viewers that show no animation
            image.seek(1)
        frame = _frame(image)
        image.load()
        shown = to_srgb(image, opened.profile)
        alpha = _alpha(image, opened.transparent)
        if alpha or frame != (0, 0, *image.size):
            paper = Image.new("RGB", image.size, "white")
            paper.paste(shown.crop(frame), frame, alpha and alpha.crop(frame))
            shown = paper
        return turned(shown, opened.orientation)


@contextmanager
def _open(data: bytes) -> Iterator[_Opened]:
    name = format_of(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes that the caller limits, and metadata that nothing here reads
        try:
            png = read_png(data) if name == "PNG" else None
            with Image.open(io.BytesIO(png.data if png else data), formats=[name]) as image:
                exif = png.exif if png else image.info.get("exif", b"")
                profile = png.profile if png else image.info.get("icc_profile")
                yield _Opened(image, orientation(exif), profile, png.transparent if png else None)
        except (ImageError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            message = f"the image is too large ({error}): scale it down"
            raise ImageTooLargeError(message) from error
        except Exception as error:  # Pillow's readers raise anything on broken data
            why = "its header is broken" if isinstance(error, UnidentifiedImageError) else error
            message = f"the image is corrupt or truncated: it begins as a {name}, but cannot be read ({why})"
            raise ImageError(message) from error


def _frame(image: Image.Image) -> tuple[int, int, int, int]:
    """The part that a GIF's first frame covers; the rest is transparent, but Pillow fills it with a colour."""
    if isinstance(image, GifImagePlugin.GifImageFile) and image.tile and image.tile[0].extents:
        return image.tile[0].extents
    return (0, 0, *image.size)


def _alpha(image: Image.Image, transparent: tuple[int, ...] | None) -> Image.Image | None:
    if transparent is not None:
        pixels = np.asarray(image)
        matches = (pixels.reshape(*pixels.shape[:2], -1) == transparent).all(axis=2)
        return Image.fromarray(np.where(matches, 0, 255).astype(np.uint8))
    return image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
