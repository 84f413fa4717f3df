"""Header and patches against transformers' processor, the oracle, with the same font and picture."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image, ImageFont
from transformers.image_utils import SizeDict
from transformers.models.pix2struct.image_processing_pil_pix2struct import Pix2StructImageProcessorPil

from services.matcha.header import HeaderTooLargeError, load_font, render_header, render_text
from services.matcha.patches import Floats, flatten_patches, pad_patches

FONT = Path(mpl.__file__).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
SIZES = [(320, 240), (701, 500), (60, 150), (600, 30), (7, 3), (1, 1), (40, 90)]
QUESTIONS = {
    "empty": "",
    "short": "What is the title?",
    "long": "Which of the categories shown has the highest value of all in the year 2019, and why? " * 4,
    "lines": "first line\nsecond line\n\n   indented   and   spaced",
    "one long word": "x" * 200,
    "unicode": "Сколько столбцов? 图表中有多少条? ¿Cuántas? é ﬁ 👀",
}
ROUNDING = 1e-3
"""Of values with standard deviation 1, so 1/60 of one step of 8-bit pixels: float32 sums in another order."""


pytestmark = pytest.mark.usefixtures("basic_text_layout")


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def oracle(picture: Image.Image, question: str, max_patches: int) -> tuple[Floats, Floats]:
    processor = Pix2StructImageProcessorPil(is_vqa=True)
    pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    with_header = processor.render_header(pixels, question, font_path=str(FONT))
    size = SizeDict(height=16, width=16)
    batch = processor._preprocess(  # noqa: SLF001 the public way fetches a font from the hub
        [with_header], do_normalize=True, max_patches=max_patches, patch_size=size, return_tensors=None
    )
    return batch["flattened_patches"][0], batch["attention_mask"][0]


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_equal_to_the_processor_of_transformers(size: tuple[int, int], question: str) -> None:
    picture = noise(size)
    for max_patches in (1, 169, 768):
        patches = flatten_patches(render_header(picture, question, load_font(FONT)), max_patches)
        expected, mask = oracle(picture, question, max_patches)
        assert len(patches) == int(mask.sum()) <= max_patches
        assert np.abs(patches - expected[: len(patches)]).max() < ROUNDING
        assert not expected[len(patches) :].any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
def test_equal_in_every_mode_of_a_picture(mode: str) -> None:
    picture = noise((120, 90)).convert(mode)
    patches = flatten_patches(render_header(picture, "Which?", load_font(FONT)), 200)
    assert np.abs(patches - oracle(picture, "Which?", 200)[0][: len(patches)]).max() < ROUNDING


def test_a_plain_picture_stays_finite() -> None:
    patches = flatten_patches(Image.new("RGB", (64, 64), "white"), 16)
    assert np.isfinite(patches).all()
    assert not patches[:, 2:].any()


def test_rows_and_columns_are_counted_from_one() -> None:
    patches = flatten_patches(noise((32, 48)), 6)
    assert patches[:, :2].tolist() == [[row, column] for row in (1, 2, 3) for column in (1, 2)]


def test_shorter_pictures_are_padded_with_zero_rows() -> None:
    short, long = flatten_patches(noise((32, 32)), 4), flatten_patches(noise((32, 48)), 6)
    stacked, mask = pad_patches([short, long])
    assert stacked.shape == (2, 6, 770)
    assert mask.tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]
    assert not stacked[0, 4:].any()


def test_a_picture_that_would_explode_is_refused() -> None:
    with pytest.raises(HeaderTooLargeError, match="1 x 20000"):
        render_header(Image.new("RGB", (1, 20_000)), "a question as wide as a chart", load_font(FONT))


def test_the_font_inside_pillow_stands_in() -> None:
    drawn = np.asarray(render_text("What is the title?", load_font(None)))
    assert drawn.shape[0] > 30
    assert (drawn < 128).any()


@pytest.mark.parametrize("font", [None, FONT], ids=["pillow", "file"])
def test_pixels_do_not_depend_on_the_layout_engines_of_the_machine(
    font: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for has_raqm in (False, True):
        monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", has_raqm)
        load_font.cache_clear()
        drawn.append(np.asarray(render_text("Title of the y axis? AVAToyo", load_font(font))))
    assert np.array_equal(drawn[0], drawn[1])
