"""Calibration inputs: patches of the user's charts, each with a question in its header."""

from pathlib import Path
from typing import Final

import numpy as np

from imaging.decode import decode
from imaging.errors import ImageError
from services.common.artifact.manifest import PrepareError
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats, flatten_patches

MOST_IMAGES: Final = 24
"""Activation ranges converge after a few images; more only take longer."""

_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg"})
_QUESTIONS: Final = (
    "What is the title?",
    "Which category has the highest value?",
    "What is the value of the last bar in the group on the left?",
    "How many lines are there, and how many of them rise from the first year to the last?",
)


def calibration_images(folder: Path) -> list[Path]:
    """Up to ``MOST_IMAGES`` images, spread evenly over the sorted file names.

    Raises:
        PrepareError: there are none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS)
    if not found:
        message = f"{folder} contains no PNG or JPEG images: name a folder of charts like those to be served"
        raise PrepareError(message)
    return [found[index] for index in np.linspace(0, len(found) - 1, min(len(found), MOST_IMAGES), dtype=int)]


def calibration_patches(folder: Path, header_font: Path | None, max_patches: int) -> list[Floats]:
    """Patches (rows, 770) of each of the folder's ``calibration_images``.

    Raises:
        PrepareError: there are none, or one cannot be read.
    """
    font = load_font(header_font)
    patches = []
    for index, path in enumerate(calibration_images(folder)):
        try:
            chart = decode(path.read_bytes())
        except (ImageError, OSError) as error:
            message = f"{path} cannot be read as an image ({error}): remove it from {folder}"
            raise PrepareError(message) from error
        drawn = render_header(chart, _QUESTIONS[index % len(_QUESTIONS)], font)
        patches.append(flatten_patches(drawn, max_patches))
    return patches
