"""Encode each image once for all its questions, and keep copies of a few for the report's examples."""

import base64
import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from clients.replay.run.folder import kept_path
from clients.replay.tasks.task import ImageSource
from imaging.decode import decode
from imaging.errors import ImageError

KEPT_IMAGES: Final = 48
_KEPT_SIDE_PIXELS: Final = 560
_KEPT_QUALITY: Final = 92
_BLANK_SIDE_PIXELS: Final = 112


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as it is sent: base64 in JSON, and a digest by which a router can find the replica that cached it."""

    base64: str
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "EncodedImage":
        """Encode an image file's bytes."""
        return cls(base64.b64encode(content).decode("ascii"), hashlib.sha256(content).hexdigest())


def blank_image() -> EncodedImage:
    """A small grey square, for a question whose answer does not matter."""
    buffer = io.BytesIO()
    Image.new("RGB", (_BLANK_SIDE_PIXELS, _BLANK_SIDE_PIXELS), "#d0d0d0").save(buffer, "PNG")
    return EncodedImage.of(buffer.getvalue())


def keep_images(keys: Sequence[str], read: ImageSource, folder: Path, seed: int) -> None:
    """Save small copies of a seeded sample of the images, as the services read them: a report needs only its run."""
    chosen = random.Random(seed).sample(keys, min(KEPT_IMAGES, len(keys)))  # noqa: S311 - not for security
    for key in sorted(chosen, key=keys.index):  # in dataset order: neighbours may be in the same file
        _keep(key, read, folder)


def _keep(key: str, read: ImageSource, folder: Path) -> None:
    try:
        content = read(key)
        path = kept_path(folder, hashlib.sha256(content).hexdigest())
        if path.exists():
            return
        copy = decode(content)
        copy.thumbnail((_KEPT_SIDE_PIXELS, _KEPT_SIDE_PIXELS))
        draft = path.with_suffix(".part")
        copy.save(draft, "WEBP", quality=_KEPT_QUALITY)
        draft.replace(path)
    except (OSError, ImageError):
        return  # costs the report one example; the service's verdict on the image is in the outcomes
