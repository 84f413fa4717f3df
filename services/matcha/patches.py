"""Cut a picture into the rows of numbers that Pix2Struct reads.

Pix2Struct keeps the aspect ratio: the picture is scaled so that as many patches of 16 × 16 pixels as allowed cover it,
and each patch carries its row and column. Oracle: transformers' ``Pix2StructImageProcessor.extract_flattened_patches``
(``tests/unit/matcha/test_header_and_patches.py``). NumPy and Pillow only.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATCH_PIXELS = 16
CHANNELS = 3
ROW_LENGTH = 2 + PATCH_PIXELS * PATCH_PIXELS * CHANNELS
"""Row id, column id, then the values of one patch in (height, width, channel) order."""

Floats = NDArray[np.float32]


def grid_shape(width: int, height: int, max_patches: int) -> tuple[int, int]:
    """Rows and columns of patches for a picture of that size: the largest grid of its aspect ratio that fits."""
    scale = math.sqrt(max_patches * (PATCH_PIXELS / height) * (PATCH_PIXELS / width))
    rows = max(min(int(scale * height / PATCH_PIXELS), max_patches), 1)
    columns = max(min(int(scale * width / PATCH_PIXELS), max_patches), 1)
    return rows, columns


def standardize(pixels: Floats) -> Floats:
    """Mean 0 and standard deviation 1 over the whole picture; a plain one stays near 0 (the deviation has a floor)."""
    deviation = max(float(pixels.std()), 1.0 / math.sqrt(pixels.size))
    standardized: Floats = (pixels - pixels.mean()) / np.float32(deviation)
    return standardized


def resize(pixels: Floats, width: int, height: int) -> Floats:
    """Antialiased bilinear scaling of (H, W, C) floats; Pillow's filter is the one that torch took over."""
    channels = [
        np.asarray(Image.fromarray(pixels[:, :, channel]).resize((width, height), Image.Resampling.BILINEAR))
        for channel in range(pixels.shape[2])
    ]
    return np.stack(channels, axis=2)


def flatten_patches(picture: Image.Image, max_patches: int) -> Floats:
    """Patches of an RGB picture, standardized, as (rows · columns, 770) float32, without padding.

    Raises:
        ValueError: ``max_patches`` is below 1.
    """
    if max_patches < 1:
        message = f"max_patches is {max_patches}: at least 1 is needed"
        raise ValueError(message)
    rows, columns = grid_shape(picture.width, picture.height, max_patches)
    pixels = standardize(np.asarray(picture.convert("RGB"), dtype=np.float32))
    pixels = resize(pixels, columns * PATCH_PIXELS, rows * PATCH_PIXELS)
    cut = pixels.reshape(rows, PATCH_PIXELS, columns, PATCH_PIXELS, CHANNELS).transpose(0, 2, 1, 3, 4)
    patches = np.empty((rows * columns, ROW_LENGTH), dtype=np.float32)
    patches[:, 0] = np.repeat(np.arange(1, rows + 1), columns)
    patches[:, 1] = np.tile(np.arange(1, columns + 1), rows)
    patches[:, 2:] = cut.reshape(rows * columns, -1)
    return patches


def pad_patches(patches: list[Floats]) -> tuple[Floats, Floats]:
    """Stack to (batch, longest, 770), zero rows behind the short ones; the mask (batch, longest) is 1 for real ones."""
    longest = max(len(item) for item in patches)
    stacked = np.zeros((len(patches), longest, ROW_LENGTH), dtype=np.float32)
    mask = np.zeros((len(patches), longest), dtype=np.float32)
    for index, item in enumerate(patches):
        stacked[index, : len(item)] = item
        mask[index, : len(item)] = 1.0
    return stacked, mask
