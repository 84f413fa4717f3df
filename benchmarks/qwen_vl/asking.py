"""The question that everything is measured with: one 504 × 504 image, an answer of two tokens.

Two tokens, for a number and the end is what the model's users ask for; a random model never ends by itself.
"""

import io
import time
from collections.abc import Callable
from typing import Any, Final

from PIL import Image

from benchmarks.quiet import Tries
from services.qwen_vl.types import ImageFile, LensOptions, Question, Turn

SIDE_PIXELS: Final = 504
ANSWER_TOKENS: Final = 2
TEXTS: Final = ("How many red circles are there?", "How many blue squares are there?")


def noise(number: int) -> ImageFile:
    """An image of noise that no other number has."""
    image = Image.effect_noise((SIDE_PIXELS, SIDE_PIXELS), 80).convert("RGB")
    image.putpixel((0, 0), (number % 256, number // 256, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return ImageFile(buffer.getvalue())


def question(
    about: ImageFile, text: str = TEXTS[0], *, lens: LensOptions | None = None, tokens: int = ANSWER_TOKENS
) -> Question:
    """One question about one image."""
    return Question((Turn("user", (about, text)),), max_new_tokens=tokens, lens=lens)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def told(tries: Tries[Any], what: str) -> str:
    """How a figure came about."""
    return f"make bench-qwen-vl: {what}; others used at most {tries.disturbed_percent:.0f} % of the machine meanwhile"
