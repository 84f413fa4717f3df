"""Training batches: each image is one row, the tree of several questions about it (see ``rows``)."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from services.training.shared.images import with_jpeg_artefacts
from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.forms import IMAGE_FIRST, Form, training_forms
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
from services.training.tiny_qwen_vl.learning.rows import IGNORED, Row
from services.training.tiny_qwen_vl.model.network import CELLS, GRID, MERGE
from services.training.tiny_qwen_vl.model.prompt import positions_of, prompt_ids
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD, TURN_END

_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class SceneExample:
    """An image, (SIDE, SIDE, 3) uint8, the scene in it, and questions about it, each in its form."""

    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    scene: Scene
    questions: tuple[SceneQuestion, ...]
    forms: tuple[Form, ...]


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
    images: torch.Tensor
    """(B,), int64: how often the row's image stands in it."""
    looks: torch.Tensor
    """(B, CELLS, LOOKS), float32: see ``naming.looks_by_cell``."""
    patches: torch.Tensor
    """(B, GRID * GRID), int64: see ``naming.look_by_patch``."""


def sample_examples(
    rng: random.Random, questions_per_image: int, max_items: int = MAX_ITEMS, *, every_form: bool = False
) -> Iterator[SceneExample]:
    """Endless examples; the scene of each is made for its first question, the others are about that scene.

    The image comes first, unless the questions are to be put in every form.
    """
    while True:
        query = rng.choice(QUERIES[rng.choice(KINDS)])
        answer = rng.randint(0, min(MAX_ANSWER, max_items))
        scene = sample_scene(rng, query, answer, others=rng.randint(0, max_items - answer))
        queries = [query, *further_queries(rng, scene, questions_per_image - 1)]
        image = draw(scene)
        if rng.random() < _HALF:
            image = with_jpeg_artefacts(image, quality=rng.randint(60, 95))
        questions = tuple(ask(rng, scene, each, rng.choice(LANGUAGES)) for each in queries)
        forms = training_forms(rng, questions) if every_form else [IMAGE_FIRST] * len(questions)
        yield SceneExample(pixels_of(image), scene, questions, tuple(forms))


def pixels_of(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The image as (height, width, 3), uint8."""
    return np.asarray(image, dtype=np.uint8)


class Collator:
    """Turns examples into batches of tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._turn_end: int = tokenizer.convert_tokens_to_ids(TURN_END)
        self._image_pad: int = tokenizer.convert_tokens_to_ids(IMAGE_PAD)

    def __call__(self, examples: list[SceneExample]) -> SceneBatch:
        """A batch; rows are padded at the end."""
        rows = [self._row(example) for example in examples]
        length = max(len(row.ids) for row in rows)
        visible = torch.zeros(len(rows), 1, length, length, dtype=torch.bool)
        positions = torch.zeros(3, len(rows), length, dtype=torch.int64)
        for index, row in enumerate(rows):
            visible[index, 0, : len(row.ids), : len(row.ids)] = torch.from_numpy(row.visible())
            positions[:, index, : len(row.ids)] = torch.tensor(row.positions).T
        ids = _padded([row.ids for row in rows], length, self._tokenizer.pad_token_id)
        return SceneBatch(
            pixels=torch.from_numpy(np.stack([example.pixels for example in examples])),
            input_ids=ids,
            labels=_padded([row.labels for row in rows], length, IGNORED),
            position_ids=positions,
            visible=visible,
            images=(ids == self._image_pad).sum(1) // CELLS,
            looks=torch.stack([looks_by_cell(example.scene) for example in examples]),
            patches=torch.stack([look_by_patch(example.scene) for example in examples]),
        )

    def _row(self, example: SceneExample) -> Row:
        row = Row()
        for question, form in zip(example.questions, example.forms, strict=True):
            prompt = prompt_ids(self._tokenizer, form.messages(question.text), CELLS)
            answer = self._tokenizer.convert_tokens_to_ids(
                self._tokenizer.tokenize(numeral(question.answer, question.language))[0]
            )
            row.add(prompt, positions_of(prompt, self._image_pad, GRID // MERGE), [answer, self._turn_end])
        return row


def _padded(rows: list[list[int]], length: int, padding: int) -> torch.Tensor:
    return torch.tensor([row + [padding] * (length - len(row)) for row in rows])
