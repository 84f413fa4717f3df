"""Chart question answering: a chart and a question in, an answer out. No HTTP, no environment."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from tokenizers import Tokenizer

from services.common.errors import InvalidRequestError
from services.common.manifest import Manifest
from services.matcha.backends import LOADERS, Backend
from services.matcha.header import HeaderTooLargeError, load_font, render_header
from services.matcha.patches import Floats, flatten_patches
from services.matcha.settings import Variant


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

    def __init__(self, folder: Path, manifest: Manifest, variant: Variant, threads: int) -> None:
        self._font = load_font(folder / manifest.header_font if manifest.header_font else None)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._backend: Backend = LOADERS[variant](folder, threads)

    def answer(self, question: ChartQuestion) -> ChartAnswer:
        """Answer greedily.

        Raises:
            InvalidRequestError: the picture's sides differ too much for the model.
        """
        started_s = time.perf_counter()
        patches = self._patches(question)
        prepared_s = time.perf_counter()
        ids = self._backend.generate(patches, question.max_new_tokens)
        finished_s = time.perf_counter()
        return ChartAnswer(
            text=self._tokenizer.decode(ids, skip_special_tokens=True).strip(),
            finish_reason="stop" if self._backend.eos_token_id in ids else "length",
            patches=len(patches),
            completion_tokens=len(ids),
            preprocess_ms=(prepared_s - started_s) * 1000,
            inference_ms=(finished_s - prepared_s) * 1000,
        )

    def _patches(self, question: ChartQuestion) -> Floats:
        try:
            picture = render_header(question.chart, question.text, self._font)
        except HeaderTooLargeError as error:
            raise InvalidRequestError(str(error), "image") from error
        patches = flatten_patches(picture, question.max_patches)
        longest_side = int(patches[:, :2].max())
        if longest_side >= self._backend.positions:
            message = (
                f"the picture needs {longest_side} patches along one side, this model knows "
                f"{self._backend.positions - 1}: send one whose sides differ less, or ask for fewer max_patches"
            )
            raise InvalidRequestError(message, "max_patches")
        return patches
