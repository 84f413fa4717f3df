"""Draw the question above the chart, which is how Pix2Struct is asked.

The model has no text input: the question is rendered as a header, and header and chart are scaled to one width.
The pixels are those of transformers (``models/pix2struct/image_processing_pix2struct.py``: ``render_text`` and
``render_header``), the oracle of ``tests/unit/matcha/test_header_and_patches.py``. Nothing here knows torch or
transformers, so that every variant, the torch-free ones included, sees the same image.
"""

import textwrap
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT_SIZE = 36
PADDING = 5
LINE_CHARACTERS = 80
MAX_PIXELS = 64_000_000
"""Of header and chart together; a chart of aspect 1 : 500 under a long question would need gigabytes."""

Font = ImageFont.FreeTypeFont


class HeaderTooLargeError(ValueError):
    """Chart and header, brought to one width, have more than ``MAX_PIXELS``."""


@cache
def load_font(path: Path | None) -> Font:
    """The header font at its size: a TrueType file, or the font inside Pillow for ``None``.

    Laid out by Pillow alone: its other engine, Raqm, is used by default where the machine happens to have libfribidi,
    and places letters elsewhere, so that one question would have other pixels, and another answer, per machine.

    Raises:
        OSError: the file is missing or is no font.
    """
    if path is not None:
        return ImageFont.truetype(str(path), FONT_SIZE, encoding="UTF-8", layout_engine=ImageFont.Layout.BASIC)
    font = ImageFont.load_default(FONT_SIZE)
    if not isinstance(font, Font):
        message = "this Pillow has no FreeType, which drawing a header needs: install the wheel from its makers"
        raise OSError(message)
    return font


def render_text(text: str, font: Font) -> Image.Image:
    """Black on white, wrapped at 80 characters, with 5 pixels around it; an empty text is a 10 × 10 white square."""
    wrapped = "\n".join(textwrap.wrap(text, LINE_CHARACTERS))
    _, _, right, bottom = ImageDraw.Draw(Image.new("RGB", (1, 1))).textbbox((0, 0), wrapped, font=font)
    image = Image.new("RGB", (int(right) + 2 * PADDING, int(bottom) + 2 * PADDING), "white")
    ImageDraw.Draw(image).text((PADDING, PADDING), wrapped, fill="black", font=font)
    return image


def render_header(chart: Image.Image, question: str, font: Font) -> Image.Image:
    """An RGB image: the question on top, the chart below, both as wide as the wider of the two.

    Raises:
        HeaderTooLargeError: the result would have more than ``MAX_PIXELS``.
    """
    header = render_text(question, font)
    width = max(header.width, chart.width)
    chart_height = int(chart.height * (width / chart.width))
    header_height = int(header.height * (width / header.width))
    if width * (chart_height + header_height) > MAX_PIXELS:
        message = (
            f"an image of {chart.width} x {chart.height} pixels under a header of {header.width} x {header.height} "
            f"would be scaled to {width} x {chart_height + header_height}: send one whose sides differ less, "
            "or a shorter question"
        )
        raise HeaderTooLargeError(message)
    canvas = Image.new("RGB", (width, chart_height + header_height), "white")
    canvas.paste(header.resize((width, header_height)), (0, 0))
    canvas.paste(chart.convert("RGB").resize((width, chart_height)), (0, header_height))
    return canvas
