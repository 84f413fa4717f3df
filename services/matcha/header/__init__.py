"""Draw the question above the chart, as Pix2Struct expects it.

The model has no text input: the question is rendered as a header, and header and chart are scaled to the same width.
The pixels match transformers (``render_text`` and ``render_header`` in
``models/pix2struct/image_processing_pix2struct.py``; checked by ``tests/unit/matcha/test_header_and_patches.py``).
Depends on neither torch nor transformers, so that all variants see the same image.
"""

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageDraw

from services.common.artifact.manifest import Manifest
from services.matcha.header.fonts import Font, font_for

PADDING = 5
LINE_CHARACTERS = 80
MAX_PIXELS = 64_000_000
"""Limit for header and chart together; a 1 : 500 chart under a long question would need gigabytes."""

LINE_SPACING = 4
"""Pillow's own, in pixels."""


class HeaderTooLargeError(ValueError):
    """Chart and header, scaled to the same width, exceed ``MAX_PIXELS``."""


def render_text(text: str, font: Font, others: Sequence[Font] = ()) -> Image.Image:
    """Render black on white, wrapped at 80 characters, with a 5-pixel border; empty text is a 10 × 10 white square.

    ``others`` are for characters that the font lacks.
    """
    lines = textwrap.wrap(text, LINE_CHARACTERS)
    if others and any(font_for(character, (font,)) is None for line in lines for character in line):
        return _in_several_fonts(lines, (font, *others))
    wrapped = "\n".join(lines)
    _, _, right, bottom = ImageDraw.Draw(Image.new("RGB", (1, 1))).textbbox((0, 0), wrapped, font=font)
    image = Image.new("RGB", (int(right) + 2 * PADDING, int(bottom) + 2 * PADDING), "white")
    ImageDraw.Draw(image).text((PADDING, PADDING), wrapped, fill="black", font=font)
    return image


def _in_several_fonts(lines: Sequence[str], fonts: Sequence[Font]) -> Image.Image:
    """Draw each character in the first font that has it, on common baselines."""
    rows = [
        [(font, "".join(run)) for font, run in groupby(line, lambda character: font_for(character, fonts) or fonts[0])]
        for line in lines
    ]
    ascents, descents = zip(*(font.getmetrics() for font in fonts), strict=True)
    height = max(ascents) + max(descents) + LINE_SPACING
    width = max(sum(font.getlength(run) for font, run in row) for row in rows)
    image = Image.new("RGB", (math.ceil(width) + 2 * PADDING, height * len(rows) + 2 * PADDING), "white")
    draw = ImageDraw.Draw(image)
    for number, row in enumerate(rows):
        x, baseline = float(PADDING), PADDING + max(ascents) + number * height
        for font, run in row:
            draw.text((x, baseline), run, fill="black", font=font, anchor="ls")
            x += font.getlength(run)
    return image


def render_header(chart: Image.Image, question: str, font: Font, others: Sequence[Font] = ()) -> Image.Image:
    """Return an RGB image with the question above the chart, both as wide as the wider of the two.

    Raises:
        HeaderTooLargeError: the result would exceed ``MAX_PIXELS``.
    """
    header = render_text(question, font, others)
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
