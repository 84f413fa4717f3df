"""The embedded model and images it can count on, for all engine tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.model.prompt import Prompt, PromptBuilder
from services.qwen_vl.types import ImageFile, Limits, Question, Turn
from tests.images import encode

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"


def scene(count: int, *, shade: int = 255) -> ImageFile:
    """Red circles on a background shade; a different shade is a different image."""
    image = Image.new("RGB", (112, 112), (shade, shade, shade))
    for index in range(count):
        left, top = 8 + 34 * (index % 3), 8 + 40 * (index // 3)
        ImageDraw.Draw(image).ellipse((left, top, left + 20, top + 20), fill="red")
    return ImageFile(encode(image))


def asked(image: ImageFile, text: str = "How many circles are there?", **options: object) -> Question:
    """One question about one image."""
    return Question((Turn("user", (image, text)),), **{"max_new_tokens": 4, **options})  # type: ignore[arg-type]


def marked(cell: tuple[int, int] | None = None, size: tuple[int, int] = (200, 90)) -> ImageFile:
    """A white image, by default of 2 rows and 6 columns of tokens, with a red mark in one cell."""
    image = Image.new("RGB", size, "white")
    if cell is not None:
        width, height = size[0] / 6, size[1] / 2
        left, top = cell[1] * width, cell[0] * height
        box = (left + 0.15 * width, top + 0.15 * height, left + 0.85 * width, top + 0.85 * height)
        ImageDraw.Draw(image).rectangle(box, fill="red")
    return ImageFile(encode(image))


def build(prompts: PromptBuilder, image: Image.Image, text: str, **bounds: int) -> Prompt:
    """The prompt of one question about one image."""
    turns = (Turn("user", (ImageFile(encode(image)), text)),)
    return prompts.build(Question(turns, max_new_tokens=1, min_pixels=bounds.get("low"), max_pixels=bounds.get("high")))


@pytest.fixture(scope="session")
def prompts() -> PromptBuilder:
    """The embedded model's tokenizer and image processor."""
    return PromptBuilder(FOLDER, max_pixels=1_003_520)


@pytest.fixture(scope="session")
def make_engine() -> Callable[..., VisionQA]:
    """The embedded model with custom limits."""

    def make(**limits: int) -> VisionQA:
        return VisionQA.load(FOLDER, "fp32", "cpu", 1, Limits(**limits))

    return make


@pytest.fixture(scope="session")
def engine(make_engine: Callable[..., VisionQA]) -> VisionQA:
    """An engine without a cache, so that tests are independent."""
    return make_engine(cache_bytes=0)
