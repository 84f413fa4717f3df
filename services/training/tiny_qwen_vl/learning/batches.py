"""Training batches: each image is one row, in which several questions share the beginning of the prompt.

A row is ``prefix question answer question answer ...``. The attention mask lets a question see the prefix and itself,
and each question's positions start where the prefix ends. A row thus computes exactly what separate prompts would, but
the image only once.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from services.training.shared.images import with_jpeg_artefacts
from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.questions import (
    KINDS,
    LANGUAGES,
    QUERIES,
    SceneQuestion,
    ask,
    further_queries,
    numeral,
)
from services.training.tiny_qwen_vl.data.scenes import MAX_ANSWER, MAX_ITEMS, Scene, sample_scene
from services.training.tiny_qwen_vl.learning.naming import look_by_patch, looks_by_cell
from services.training.tiny_qwen_vl.model.network import CELLS, GRID, MERGE
from services.training.tiny_qwen_vl.model.prompt import prompt_ids
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD, TURN_END, VISION_END

IGNORED: Final = -100
_PREFIX_SEGMENT: Final = 0
_PADDING_SEGMENT: Final = -1


@dataclass(frozen=True, slots=True)
class SceneExample:
    """An image, (SIDE, SIDE, 3) uint8, the scene in it, and questions about it."""

    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    scene: Scene
    questions: tuple[SceneQuestion, ...]


@dataclass(frozen=True, slots=True)
class SceneBatch:
    """Tensors of B rows of T tokens."""

    pixels: torch.Tensor
    """(B, SIDE, SIDE, 3), uint8."""
    input_ids: torch.Tensor
    """(B, T), int64."""
    labels: torch.Tensor
    """(B, T), int64: the token after each answer position, else ``IGNORED``."""
    position_ids: torch.Tensor
    """(3, B, T), int64: time, row, column."""
    visible: torch.Tensor
    """(B, 1, T, T), bool: query sees key."""
    looks: torch.Tensor
    """(B, CELLS, LOOKS), float32: see ``naming.looks_by_cell``."""
    patches: torch.Tensor
    """(B, GRID * GRID), int64: see ``naming.look_by_patch``."""


def sample_examples(rng: random.Random, questions_per_image: int, max_items: int = MAX_ITEMS) -> Iterator[SceneExample]:
    """Endless examples; the scene of each is made for its first question, the others are about that scene."""
    while True:
        query = rng.choice(QUERIES[rng.choice(KINDS)])
        answer = rng.randint(0, min(MAX_ANSWER, max_items))
        scene = sample_scene(rng, query, answer, others=rng.randint(0, max_items - answer))
        queries = [query, *further_queries(rng, scene, questions_per_image - 1)]
        image = draw(scene)
        if rng.random() < 0.5:  # noqa: PLR2004 half of the images
            image = with_jpeg_artefacts(image, quality=rng.randint(60, 95))
        questions = tuple(ask(rng, scene, each, rng.choice(LANGUAGES)) for each in queries)
        yield SceneExample(pixels_of(image), scene, questions)


def pixels_of(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The image as (height, width, 3), uint8."""
    return np.asarray(image, dtype=np.uint8)


class Collator:
    """Turns examples into batches of tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._turn_end: int = tokenizer.convert_tokens_to_ids(TURN_END)
        prompt = prompt_ids(tokenizer, "?", CELLS)
        self._prefix = prompt[: prompt.index(tokenizer.convert_tokens_to_ids(VISION_END)) + 1]
        self._prefix_positions, self._next_position = self._positions_of_prefix()
        self._encode = cache(self._encode_question)

    def __call__(self, examples: list[SceneExample]) -> SceneBatch:
        """A batch; rows are padded at the end."""
        rows = [self._row(example) for example in examples]
        length = max(len(ids) for ids, _, _, _ in rows)
        ids, labels, segments = (
            torch.tensor([row[part] + [fill] * (length - len(row[part])) for row in rows])
            for part, fill in ((0, self._tokenizer.pad_token_id), (1, IGNORED), (2, _PADDING_SEGMENT))
        )
        positions = torch.zeros(len(rows), length, 3, dtype=torch.int64)
        for index, row in enumerate(rows):
            positions[index, : len(row[3])] = torch.tensor(row[3])
        return SceneBatch(
            pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
            input_ids=ids,
            labels=labels,
            position_ids=positions.permute(2, 0, 1).contiguous(),
            visible=_visibility(segments),
            looks=torch.stack([looks_by_cell(example.scene) for example in examples]),
            patches=torch.stack([look_by_patch(example.scene) for example in examples]),
        )

    def _row(self, example: SceneExample) -> tuple[list[int], list[int], list[int], list[tuple[int, int, int]]]:
        """Token ids, labels, segments and positions."""
        ids = list(self._prefix)
        labels = [IGNORED] * len(ids)
        segments = [_PREFIX_SEGMENT] * len(ids)
        positions = list(self._prefix_positions)
        for segment, question in enumerate(example.questions, start=1):
            tokens, answer = self._encode(question.text, numeral(question.answer, question.language))
            ids += [*tokens, answer]
            labels += [IGNORED] * (len(tokens) - 1) + [answer, self._turn_end]
            segments += [segment] * (len(tokens) + 1)
            positions += [(self._next_position + offset,) * 3 for offset in range(len(tokens) + 1)]
        return ids, labels, segments, positions

    def _encode_question(self, text: str, answer: str) -> tuple[list[int], int]:
        """Tokens from the question up to the answer, and the answer's token."""
        prompt = prompt_ids(self._tokenizer, text, CELLS)
        return prompt[len(self._prefix) :], self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(answer)[0])

    def _positions_of_prefix(self) -> tuple[list[tuple[int, int, int]], int]:
        """Qwen2-VL's three positions of each prefix token, and the position of the token after the prefix."""
        image_pad = self._tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        start, side = self._prefix.index(image_pad), GRID // MERGE
        cells = [(start, start + row, start + column) for row in range(side) for column in range(side)]
        positions = [(index,) * 3 for index in range(start)] + cells + [(start + side,) * 3]
        return positions, start + side + 1


def _visibility(segments: torch.Tensor) -> torch.Tensor:
    """Which keys each query sees: earlier ones of its own segment or the prefix; (B, T) int64 to (B, 1, T, T) bool."""
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    query, key = segments[:, :, None], segments[:, None, :]
    return (causal & ((query == key) | (key == _PREFIX_SEGMENT))).unsqueeze(1)
