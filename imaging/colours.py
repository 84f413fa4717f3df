"""Colours of any mode and profile to sRGB in 8 bits."""

import io
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from imaging.errors import ImageError
from imaging.profiles import CURVE_OF_SRGB, PRIMARIES_OF_SRGB, matrix_profile

_BASES: Final = {
    **dict.fromkeys(("1", "L", "LA", "I;16"), "L"),
    **dict.fromkeys(("P", "RGB", "RGBA", "RGBX", "YCbCr"), "RGB"),
    "CMYK": "CMYK",
}
"""The mode without transparency for each mode that the formats read have."""
_SPACES: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_PRECISION: Final = {"L": ImageCms.Flags.NOOPTIMIZE, "CMYK": ImageCms.Flags.HIGHRESPRECALC}
"""LittleCMS's tables are too coarse for inks and for dark greys; greys are only 256, so each is computed."""
_UNSEEN: Final = 2
"""Of 255: rounding in a profile that describes sRGB."""
_STEPS: Final = np.linspace(0, 255, 9, dtype=np.uint8)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB image of the colours that a browser shows; transparency is left out.

    As in browsers, a profile that is broken, or for other colours than the image's, is as good as none.

    Raises:
        ImageError: the image has a mode that none of the formats read should have.
    """
    base = _without_transparency(image)
    if profile:
        for mode in (base.mode, "RGB") if base.mode == "L" else (base.mode,):  # grey may be described as RGB
            transform = _transform(profile, mode)
            if transform:
                return _transformed(base.convert(mode), transform)
    return base.convert("RGB")


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    if image.mode != "L":
        return transform.apply(image)
    levels = transform.apply(Image.frombytes("L", (256, 1), bytes(range(256))))
    return Image.merge("RGB", [image.point(list(level.tobytes())) for level in levels.split()])


def _without_transparency(image: Image.Image) -> Image.Image:
    mode = _BASES.get(image.mode)
    if mode is None:
        message = f"the image has colours that are not read (mode {image.mode}): save it as RGB"
        raise ImageError(message)
    if image.mode == "I;16":
        image = image.point(lambda grey: grey / 256)  # Pillow's convert clips at 255
    return image.convert(mode)


@lru_cache(maxsize=8)  # photos from one camera, or scans from one scanner, share their profile
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it would change nothing, or does not fit the mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(
            source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL, flags=_PRECISION.get(mode, ImageCms.Flags.NONE)
        )
    except (OSError, ValueError):  # broken: browsers ignore it
        return None
    return transform if _changes(transform, mode) else None


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(PRIMARIES_OF_SRGB, CURVE_OF_SRGB) or b""))


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    bands = len(Image.new(mode, (1, 1)).getbands())
    lattice = np.stack(np.meshgrid(*[_STEPS] * bands, indexing="ij"), axis=-1).reshape(1, -1, bands)
    colours = Image.frombytes(mode, (lattice.shape[1], 1), lattice.tobytes())
    before, after = (np.asarray(each, dtype=np.int16) for each in (colours.convert("RGB"), transform.apply(colours)))
    return int(np.abs(after - before).max()) > _UNSEEN
