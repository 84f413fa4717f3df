"""Training batches: charts below their questions as pixels, with the tokens to write, in a pool that is renewed.

The pixels are those of ``services.matcha.header`` and ``services.matcha.patches``, but resized as bytes instead of
floats, and standardized when a batch is drawn. They agree to one level of 256, as the tests show.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from torch.nn import functional

from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import CHANNELS, PATCH_PIXELS, grid_shape
from services.training.tiny_matcha.learning.targets import ChartExample, Part, target
from services.training.tiny_matcha.model.network import GRID, MAX_PATCHES, PATCH_VALUES

MAX_TOKENS = 96
IGNORED = -100

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PatchedImage:
    """Patches of an image as bytes, and the mean and deviation that standardize them."""

    patches: Bytes
    """(rows · columns, 768)"""
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class ChartBatch:
    """Inputs and targets; labels are ``IGNORED`` where nothing is learnt."""

    flattened_patches: torch.Tensor
    """(B, patches, 770) float32"""
    decoder_input_ids: torch.Tensor
    """(B, T) int64"""
    answer_labels: torch.Tensor
    """(B, T) int64: the answer and its end"""
    teaching_labels: torch.Tensor
    """(B, T) int64: the teaching text after them"""


def render(chart: Image.Image, question: str) -> PatchedImage:
    """The image of ``question`` above ``chart``, cut into patches.

    Raises:
        ValueError: the question is too long or too short for the grid to be ``GRID``.
    """
    canvas = render_header(chart, question, load_font(None))
    if grid_shape(canvas.width, canvas.height, MAX_PATCHES) != GRID:
        message = f"{question!r} over a chart of {chart.size} does not give a grid of {GRID}: reword it"
        raise ValueError(message)
    rows, columns = GRID
    small = np.asarray(canvas.resize((columns * PATCH_PIXELS, rows * PATCH_PIXELS), Image.Resampling.BILINEAR))
    cut = small.reshape(rows, PATCH_PIXELS, columns, PATCH_PIXELS, CHANNELS).transpose(0, 2, 1, 3, 4)
    return PatchedImage(cut.reshape(rows * columns, PATCH_VALUES), *_mean_and_deviation(canvas))


def _mean_and_deviation(image: Image.Image) -> tuple[float, float]:
    """Over all values of an RGB image, from its histogram, which is faster than from the pixels and as exact."""
    counts = np.array(image.histogram()).reshape(CHANNELS, 256).sum(axis=0)
    levels = np.arange(256)
    mean = float(np.average(levels, weights=counts))
    return mean, math.sqrt(float(np.average((levels - mean) ** 2, weights=counts)))


class Pool:
    """Examples ready to train on; the oldest are replaced by new ones as training proceeds.

    Rendering an example costs a third of a training step. Using each one a few times, far apart, saves most of that.
    """

    def __init__(self, size: int, tokenizer: Tokenizer, source: Iterator[ChartExample]) -> None:
        """Render the first ``size`` examples of ``source``."""
        self._tokenizer, self._source = tokenizer, source
        self._patches = np.empty((size, GRID[0] * GRID[1], PATCH_VALUES), dtype=np.uint8)
        self._scales = np.empty((size, 2), dtype=np.float32)
        self._tokens = np.zeros((size, MAX_TOKENS), dtype=np.int64)
        self._parts = np.zeros((size, MAX_TOKENS), dtype=np.int64)
        self._lengths = np.empty(size, dtype=np.int64)
        self._oldest = 0
        self.renew(size)

    def renew(self, count: int) -> None:
        """Replace the ``count`` oldest examples."""
        for _ in range(count):
            self._put(self._oldest, next(self._source))
            self._oldest = (self._oldest + 1) % len(self._patches)

    def _put(self, row: int, example: ChartExample) -> None:
        patched = render(example.image, example.question.text)
        tokens, parts = target(example, self._tokenizer)
        self._patches[row] = patched.patches
        self._scales[row] = patched.mean, patched.deviation
        self._tokens[row], self._parts[row] = 0, Part.GIVEN
        self._tokens[row, : len(tokens)], self._parts[row, : len(parts)] = tokens, parts
        self._lengths[row] = len(tokens)

    def draw(self, rows: NDArray[np.int64]) -> ChartBatch:
        """The examples in these rows as a batch."""
        scales = torch.from_numpy(self._scales[rows])
        patches = torch.empty(len(rows), GRID[0] * GRID[1], 2 + PATCH_VALUES)
        patches[:, :, :2] = _positions()
        patches[:, :, 2:] = torch.from_numpy(self._patches[rows])
        patches[:, :, 2:].sub_(scales[:, :1, None]).div_(scales[:, 1:, None])
        length = int(self._lengths[rows].max())
        tokens = torch.from_numpy(self._tokens[rows, :length])
        parts = torch.from_numpy(self._parts[rows, :length])
        return ChartBatch(
            flattened_patches=patches,
            decoder_input_ids=functional.pad(tokens[:, :-1], (1, 0)),
            answer_labels=tokens.masked_fill(parts != Part.ANSWER, IGNORED),
            teaching_labels=tokens.masked_fill(parts != Part.TEACHING, IGNORED),
        )

    def __len__(self) -> int:
        """Number of examples in the pool."""
        return len(self._patches)


def _positions() -> torch.Tensor:
    """Row and column ids, counted from 1, (patches, 2)."""
    rows, columns = torch.meshgrid(torch.arange(1, GRID[0] + 1), torch.arange(1, GRID[1] + 1), indexing="ij")
    return torch.stack((rows.flatten(), columns.flatten()), dim=1).float()
