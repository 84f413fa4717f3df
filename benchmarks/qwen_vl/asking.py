"""The request used for all measurements: one 504 × 504 image and an answer of two tokens.

The model's users ask for counts: a number and the end-of-sequence token. A random model never ends by itself.
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
    """A noise image that is unique to the number."""
    image = Image.effect_noise((SIDE_PIXELS, SIDE_PIXELS), 80).convert("RGB")
    image.putpixel((0, 0), (number % 256, number // 256, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return ImageFile(buffer.getvalue())


def question(
    about: ImageFile, text: str = TEXTS[0], *, lens: LensOptions | None = None, tokens: int = ANSWER_TOKENS
) -> Question:
    """A question about an image."""
    return Question((Turn("user", (about, text)),), max_new_tokens=tokens, lens=lens)


def seconds(call: Callable[[], object]) -> float:
    """Time a call."""
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def told(tries: Tries[Any], what: str) -> str:
    """Describe how a measurement was taken."""
    return f"make bench-qwen-vl: {what}; others used at most {tries.disturbed_percent:.0f} % of the machine meanwhile"
