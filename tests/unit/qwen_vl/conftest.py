"""The embedded model and pictures it can count on, for every test of the engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from services.qwen_vl.engine import Limits, VisionQA
from services.qwen_vl.values import Picture, Question, Turn
from tests.pictures import encode

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"


def scene(count: int, *, shade: int = 255) -> Picture:
    """Red circles on a ground of some shade: another shade is another picture."""
    picture = Image.new("RGB", (112, 112), (shade, shade, shade))
    for index in range(count):
        left, top = 8 + 34 * (index % 3), 8 + 40 * (index // 3)
        ImageDraw.Draw(picture).ellipse((left, top, left + 20, top + 20), fill="red")
    return Picture(encode(picture))


def asked(picture: Picture, text: str = "How many circles are there?", **options: object) -> Question:
    """One question about one picture."""
    return Question((Turn("user", (picture, text)),), **{"max_new_tokens": 4, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_engine() -> Callable[..., VisionQA]:
    """The embedded model with limits of the test's own."""

    def make(**limits: int) -> VisionQA:
        return VisionQA(FOLDER, "fp32", "cpu", 1, Limits(**limits))

    return make


@pytest.fixture(scope="session")
def engine(make_engine: Callable[..., VisionQA]) -> VisionQA:
    """One without a cache, so that every test finds it as it was."""
    return make_engine(cache_bytes=0)
