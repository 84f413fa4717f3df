"""Draw the question above the chart, as Pix2Struct expects it.

The model has no text input: the question is rendered as a header, and header and chart are scaled to the same width.
The pixels match transformers (``render_text`` and ``render_header`` in
``models/pix2struct/image_processing_pix2struct.py``; checked by ``tests/unit/matcha/test_header_and_patches.py``).
Depends on neither torch nor transformers, so that all variants see the same image.
"""

import textwrap
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from services.common.artifact.manifest import Manifest

FONT_SIZE = 36
PADDING = 5
LINE_CHARACTERS = 80
MAX_PIXELS = 64_000_000
"""Limit for header and chart together; a 1 : 500 chart under a long question would need gigabytes."""

Font = ImageFont.FreeTypeFont


class HeaderTooLargeError(ValueError):
    """Chart and header, scaled to the same width, exceed ``MAX_PIXELS``."""


@cache
def load_font(path: Path | None) -> Font:
    """Load the header font: a TrueType file, or Pillow's default font for ``None``.

    Uses Pillow's basic layout engine. Raqm, the default where libfribidi happens to be installed, places letters
    differently, so that pixels and answers would depend on the machine.

    Raises:
        OSError: the file is missing or not a font.
    """
    if path is not None:
        return ImageFont.truetype(str(path), FONT_SIZE, encoding="UTF-8", layout_engine=ImageFont.Layout.BASIC)
    font = ImageFont.load_default(FONT_SIZE)
    if not isinstance(font, Font):
        message = "this Pillow lacks FreeType, which is needed to draw headers: install the official wheel"
        raise OSError(message)
    return font


def render_text(text: str, font: Font) -> Image.Image:
    """Render black on white, wrapped at 80 characters, with a 5-pixel border; empty text is a 10 × 10 white square."""
    wrapped = "\n".join(textwrap.wrap(text, LINE_CHARACTERS))
    _, _, right, bottom = ImageDraw.Draw(Image.new("RGB", (1, 1))).textbbox((0, 0), wrapped, font=font)
    image = Image.new("RGB", (int(right) + 2 * PADDING, int(bottom) + 2 * PADDING), "white")
    ImageDraw.Draw(image).text((PADDING, PADDING), wrapped, fill="black", font=font)
    return image


def render_header(chart: Image.Image, question: str, font: Font) -> Image.Image:
    """Return an RGB image with the question above the chart, both as wide as the wider of the two.

    Raises:
        HeaderTooLargeError: the result would exceed ``MAX_PIXELS``.
    """
    header = render_text(question, font)
    width = max(header.width, chart.width)
    chart_height = int(chart.height * (width / chart.width))
    header_height = int(header.height * (width / header.width))
    if width * (chart_height + header_height) > MAX_PIXELS:
        message = (
            f"an image of {chart.width} x {chart.height} pixels under a header of {header.width} x {header.height} "
            f"would be scaled to {width} x {chart_height + header_height}: send a less elongated image "
            "or a shorter question"
        )
        raise HeaderTooLargeError(message)
    canvas = Image.new("RGB", (width, chart_height + header_height), "white")
    canvas.paste(header.resize((width, header_height)), (0, 0))
    canvas.paste(chart.convert("RGB").resize((width, chart_height)), (0, header_height))
    return canvas


def font_warning(manifest: Manifest) -> str | None:
    """A sentence about the header's font if it is not the one the model was trained with."""
    if not manifest.stand_in_font:
        return None
    return (
        f"the header is drawn in {manifest.header_font or 'the default font of Pillow'}, not in the font the model was "
        "trained with, which changes every question's pixels: prepare it again where the hub can be reached, or name "
        "the font (Arial) with --font"
    )
