"""Cut an image into the flattened patches that Pix2Struct reads.

Pix2Struct keeps the aspect ratio: the image is scaled to fill as many 16 × 16 pixel patches as allowed, and each patch
carries its row and column. Matches transformers' ``Pix2StructImageProcessor.extract_flattened_patches``
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
    """Rows and columns of patches: the largest grid with the image's aspect ratio within ``max_patches``."""
    scale = math.sqrt(max_patches * (PATCH_PIXELS / height) * (PATCH_PIXELS / width))
    rows = max(min(int(scale * height / PATCH_PIXELS), max_patches), 1)
    columns = max(min(int(scale * width / PATCH_PIXELS), max_patches), 1)
    return rows, columns


def mean_and_deviation(image: Image.Image) -> tuple[float, float]:
    """Mean and standard deviation over all values of an RGB image, from its histogram.

    The deviation has a floor, so that a plain image is not divided by 0.
    """
    counts = np.array(image.histogram(), dtype=np.float64).reshape(CHANNELS, -1).sum(axis=0)
    values, total = np.arange(len(counts)), counts.sum()
    mean = float(counts @ values / total)
    deviation = math.sqrt(float(counts @ (values - mean) ** 2 / total))
    return mean, max(deviation, 1.0 / math.sqrt(total))


def resize(band: Image.Image, width: int, height: int) -> Floats:
    """Antialiased bilinear scaling of one band to (H, W) floats, without rounding to bytes.

    PyTorch's antialiased filter is a port of Pillow's.
    """
    return np.asarray(band.convert("F").resize((width, height), Image.Resampling.BILINEAR))


def flatten_patches(image: Image.Image, max_patches: int) -> Floats:
    """Scale, standardize and cut an RGB image into float32 patches (rows · columns, 770), without padding.

    Raises:
        ValueError: ``max_patches`` is below 1.
    """
    if max_patches < 1:
        message = f"max_patches is {max_patches}, must be at least 1"
        raise ValueError(message)
    image = image.convert("RGB")
    rows, columns = grid_shape(image.width, image.height, max_patches)
    mean, deviation = mean_and_deviation(image)
    patches = np.empty((rows * columns, ROW_LENGTH), dtype=np.float32)
    patches[:, 0] = np.repeat(np.arange(1, rows + 1), columns)
    patches[:, 1] = np.tile(np.arange(1, columns + 1), rows)
    values = patches[:, 2:].reshape(rows, columns, PATCH_PIXELS, PATCH_PIXELS, CHANNELS)  # a view
    for channel, band in enumerate(image.split()):
        # Standardizing after scaling gives the same result up to rounding, on fewer values.
        scaled = resize(band, columns * PATCH_PIXELS, rows * PATCH_PIXELS) - np.float32(mean)
        scaled /= np.float32(deviation)
        values[..., channel] = scaled.reshape(rows, PATCH_PIXELS, columns, PATCH_PIXELS).transpose(0, 2, 1, 3)
    return patches


def pad_patches(patches: list[Floats]) -> tuple[Floats, Floats]:
    """Stack to (batch, longest, 770), padded with zero rows; the mask (batch, longest) is 1 for real patches."""
    longest = max(len(item) for item in patches)
    stacked = np.zeros((len(patches), longest, ROW_LENGTH), dtype=np.float32)
    mask = np.zeros((len(patches), longest), dtype=np.float32)
    for index, item in enumerate(patches):
        stacked[index, : len(item)] = item
        mask[index, : len(item)] = 1.0
    return stacked, mask
