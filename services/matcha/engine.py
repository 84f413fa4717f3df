"""Chart question answering: a chart and a question in, an answer out. Knows neither HTTP nor the environment."""

import io
import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from services.common import images
from services.common.artifact.reading import readable
from services.common.isolation import attempt
from services.matcha.backends import Backend, Hardware, load_backend
from services.matcha.header import HeaderTooLargeError, render_header
from services.matcha.header.fonts import Font, UndrawableError, drawable, load_font
from services.matcha.patches import Floats, flatten_patches
from services.matcha.types import LIMITS, ChartAnswer, ChartQuestion, Limits
from services.matcha.variants import VariantName
from services.wire.errors import InvalidRequestError

_log = logging.getLogger(__name__)


class ChartQA:
    """A loaded MatCha model in one variant."""

    def __init__(
        self, backend: Backend, tokenizer: Tokenizer, fonts: Font | Sequence[Font], limits: Limits = LIMITS
    ) -> None:
        self._backend = backend
        self._tokenizer = tokenizer
        self._fonts = (fonts,) if isinstance(fonts, Font) else tuple(fonts)
        self._limits = limits

    @classmethod
    def load(
        cls,
        folder: Path,
        header_font: str | None,
        variant: VariantName,
        hardware: Hardware,
        limits: Limits = LIMITS,
        more_fonts: Sequence[Path] = (),
    ) -> Self:
        """Load an artifact folder; ``header_font`` is a file in it, or None for Pillow's default font.

        ``more_fonts`` draw the characters that it lacks.

        Raises:
            ManifestError: a file cannot be read, or the weights are not those of the model.
            LoadError: the machine lacks what the model takes.
        """
        with readable("the header font", folder):
            fonts = [load_font(folder / header_font if header_font else None), *map(load_font, more_fonts)]
        with readable("tokenizer.json", folder):
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return cls(load_backend(variant, folder, hardware), tokenizer, fonts, limits)

    def answer(self, questions: Sequence[ChartQuestion]) -> list[ChartAnswer | Exception]:
        """Answer each question greedily, with the same result as if it were asked alone.

        A question that cannot be answered yields an error in its place: a ``ServiceError`` if the image is corrupt or
        too elongated, the fonts lack a character, or more patches were requested than the server or the model allows;
        another if it fails by a defect.
        """
        started_s = time.perf_counter()
        inputs = [attempt(partial(self._patches, question)) for question in questions]
        valid = [
            (question, rows) for question, rows in zip(questions, inputs, strict=True) if isinstance(rows, np.ndarray)
        ]
        prepared_s = time.perf_counter()
        limits = [question.max_new_tokens for question, _ in valid]
        token_ids = iter(self._generate([rows for _, rows in valid], limits) if valid else [])
        spent_ms = ((prepared_s - started_s) * 1000, (time.perf_counter() - prepared_s) * 1000)
        return [
            item if isinstance(item, Exception) else self._answer(next(token_ids), len(item), spent_ms)
            for item in inputs
        ]

    def warm_up(self) -> None:
        """Answer a question about a blank image, so that the first client does not wait for what is done once."""
        blank = io.BytesIO()
        Image.new("RGB", (32, 32), "white").save(blank, "PNG")
        (answer,) = self.answer([ChartQuestion(blank.getvalue(), "?", 1)])
        if isinstance(answer, Exception):
            raise answer

    def _generate(self, patches: list[Floats], limits: list[int]) -> list[list[int] | Exception]:
        """The tokens of each answer; if the batch fails, each is tried alone, so that one failure is one answer's."""
        token_ids = attempt(partial(self._backend.generate, patches, limits))
        if not isinstance(token_ids, Exception):
            return [*token_ids]
        if len(patches) == 1:
            return [token_ids]
        _log.warning("a batch of %d failed (%r): each is asked alone", len(patches), token_ids)
        return [self._generate([rows], [limit])[0] for rows, limit in zip(patches, limits, strict=True)]

    def _answer(
        self, ids: list[int] | Exception, patches: int, spent_ms: tuple[float, float]
    ) -> ChartAnswer | Exception:
        return ids if isinstance(ids, Exception) else attempt(partial(self._written, ids, patches, spent_ms))

    def _written(self, ids: list[int], patches: int, spent_ms: tuple[float, float]) -> ChartAnswer:
        return ChartAnswer(
            text=self._tokenizer.decode(ids, skip_special_tokens=True).strip(),
            finish_reason="stop" if ids[-1] in self._backend.end_token_ids else "length",
            patches=patches,
            completion_tokens=len(ids),
            preprocess_ms=spent_ms[0],
            inference_ms=spent_ms[1],
        )

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

    def _patches(self, question: ChartQuestion) -> Floats:
        max_patches = self._max_patches(question)
        font, *others = self._fonts
        try:
            text = drawable(question.text, self._fonts)
            image = render_header(images.decode(question.image), text, font, others)
        except UndrawableError as error:
            raise InvalidRequestError(str(error), "question") from error
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
