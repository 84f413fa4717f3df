"""Chart question answering: a chart and a question in, an answer out. Knows neither HTTP nor the environment."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL.ImageFont import FreeTypeFont
from tokenizers import Tokenizer

from services.common import images
from services.matcha.backends import Backend, Hardware, load_backend
from services.matcha.header import HeaderTooLargeError, load_font, render_header
from services.matcha.patches import Floats, flatten_patches
from services.matcha.types import LIMITS, ChartAnswer, ChartQuestion, Limits
from services.matcha.variants import VariantName
from services.wire.errors import InvalidRequestError, ServiceError


class ChartQA:
    """A loaded MatCha model in one variant."""

    def __init__(self, backend: Backend, tokenizer: Tokenizer, font: FreeTypeFont, limits: Limits = LIMITS) -> None:
        self._backend = backend
        self._tokenizer = tokenizer
        self._font = font
        self._limits = limits

    @classmethod
    def load(
        cls,
        folder: Path,
        header_font: str | None,
        variant: VariantName,
        hardware: Hardware,
        limits: Limits = LIMITS,
    ) -> Self:
        """Load an artifact folder; ``header_font`` is a file in it, or None for Pillow's default font."""
        font = load_font(folder / header_font if header_font else None)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return cls(load_backend(variant, folder, hardware), tokenizer, font, limits)

    def answer(self, questions: Sequence[ChartQuestion]) -> list[ChartAnswer | ServiceError]:
        """Answer each question greedily, with the same result as if it were asked alone.

        A question that cannot be answered yields an error in its place: the image is corrupt or too elongated, or more
        patches were requested than the server or the model allows.
        """
        started_s = time.perf_counter()
        inputs = [self._patches_or_error(question) for question in questions]
        valid = [
            (question, rows) for question, rows in zip(questions, inputs, strict=True) if isinstance(rows, np.ndarray)
        ]
        prepared_s = time.perf_counter()
        limits = [question.max_new_tokens for question, _ in valid]
        token_ids = iter(self._backend.generate([rows for _, rows in valid], limits) if valid else [])
        spent_ms = ((prepared_s - started_s) * 1000, (time.perf_counter() - prepared_s) * 1000)
        return [
            item if isinstance(item, ServiceError) else self._written(next(token_ids), len(item), spent_ms)
            for item in inputs
        ]

    def _written(self, ids: list[int], patches: int, spent_ms: tuple[float, float]) -> ChartAnswer:
        return ChartAnswer(
            text=self._tokenizer.decode(ids, skip_special_tokens=True).strip(),
            finish_reason="stop" if ids[-1] in self._backend.end_token_ids else "length",
            patches=patches,
            completion_tokens=len(ids),
            preprocess_ms=spent_ms[0],
            inference_ms=spent_ms[1],
        )

    def _patches_or_error(self, question: ChartQuestion) -> Floats | ServiceError:
        try:
            return self._patches(question, self._max_patches(question))
        except ServiceError as error:
            return error

    def _max_patches(self, question: ChartQuestion) -> int:
        requested, limit, bound = question.max_patches, self._limits.max_patches, self._backend.fixed_patches
        if requested and requested > limit:
            message = f"'max_patches' is {requested}, this server allows {limit}"
            raise InvalidRequestError(message, "max_patches")
        patches = min(requested or self._limits.default_patches, limit)
        if bound and patches > bound:
            message = f"'max_patches' is {patches}, this model's graphs were exported for {bound}"
            raise InvalidRequestError(message, "max_patches")
        return patches

    def _patches(self, question: ChartQuestion, max_patches: int) -> Floats:
        try:
            image = render_header(images.decode(question.image), question.text, self._font)
        except HeaderTooLargeError as error:
            raise InvalidRequestError(str(error), "image") from error
        patches = flatten_patches(image, max_patches)
        longest_side = int(patches[:, :2].max())
        if longest_side >= self._backend.positions:
            message = (
                f"the image needs {longest_side} patches along one side, this model supports "
                f"{self._backend.positions - 1}: send a less elongated image, or lower max_patches"
            )
            raise InvalidRequestError(message, "max_patches")
        return patches
