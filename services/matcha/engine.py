"""Chart question answering: a chart and a question in, an answer out. No HTTP, no environment."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from services.matcha.backends import LOADERS, Backend, Hardware
from services.matcha.header import HeaderTooLargeError, load_font, render_header
from services.matcha.patches import Floats, flatten_patches
from services.matcha.settings import Variant
from services.wire.errors import InvalidRequestError


@dataclass(frozen=True, slots=True)
class ChartQuestion:
    """A question about an RGB chart, and how much to spend on it."""

    chart: Image.Image
    text: str
    max_patches: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class ChartAnswer:
    """The answer, how it ended, and what it took."""

    text: str
    finish_reason: Literal["stop", "length"]
    patches: int
    completion_tokens: int
    preprocess_ms: float
    inference_ms: float


class ChartQA:
    """MatCha in one variant, ready to answer."""

    def __init__(self, folder: Path, header_font: str | None, variant: Variant, hardware: Hardware) -> None:
        self._font = load_font(folder / header_font if header_font else None)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._backend: Backend = LOADERS[variant](folder, hardware)

    def answer(self, questions: Sequence[ChartQuestion]) -> list[ChartAnswer | InvalidRequestError]:
        """Answer greedily, each question as it would be answered alone.

        A question that cannot be answered gets its error in its place: the image's sides differ too much, or more
        patches were asked for than the model takes.
        """
        started_s = time.perf_counter()
        cut = [self._patches_or_error(question) for question in questions]
        asked = [
            (question, rows) for question, rows in zip(questions, cut, strict=True) if isinstance(rows, np.ndarray)
        ]
        prepared_s = time.perf_counter()
        limits = [question.max_new_tokens for question, _ in asked]
        token_ids = iter(self._backend.generate([rows for _, rows in asked], limits) if asked else [])
        spent_ms = ((prepared_s - started_s) * 1000, (time.perf_counter() - prepared_s) * 1000)
        return [
            each if isinstance(each, InvalidRequestError) else self._written(next(token_ids), len(each), spent_ms)
            for each in cut
        ]

    def _written(self, ids: list[int], patches: int, spent_ms: tuple[float, float]) -> ChartAnswer:
        return ChartAnswer(
            text=self._tokenizer.decode(ids, skip_special_tokens=True).strip(),
            finish_reason="stop" if self._backend.eos_token_id in ids else "length",
            patches=patches,
            completion_tokens=len(ids),
            preprocess_ms=spent_ms[0],
            inference_ms=spent_ms[1],
        )

    def _patches_or_error(self, question: ChartQuestion) -> Floats | InvalidRequestError:
        try:
            return self._patches(question)
        except InvalidRequestError as error:
            return error

    def _patches(self, question: ChartQuestion) -> Floats:
        bound = self._backend.fixed_patches
        if bound and question.max_patches > bound:
            message = f"'max_patches' is {question.max_patches}, this model's graphs were exported for {bound}"
            raise InvalidRequestError(message, "max_patches")
        try:
            image = render_header(question.chart, question.text, self._font)
        except HeaderTooLargeError as error:
            raise InvalidRequestError(str(error), "image") from error
        patches = flatten_patches(image, question.max_patches)
        longest_side = int(patches[:, :2].max())
        if longest_side >= self._backend.positions:
            message = (
                f"the image needs {longest_side} patches along one side, this model knows "
                f"{self._backend.positions - 1}: send one whose sides differ less, or ask for fewer max_patches"
            )
            raise InvalidRequestError(message, "max_patches")
        return patches
