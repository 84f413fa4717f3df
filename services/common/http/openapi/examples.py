"""Requests that are answered as they stand: what the page's "try it out" fills in."""

import base64
import io
from typing import Any, Final

from PIL import Image, ImageDraw

_SIDES: Final = (96, 64)
_BARS: Final = ((12, 40, "#1f77b4"), (40, 16, "#ff7f0e"), (68, 28, "#2ca02c"))
"""Left edge, top edge and colour of each; they are 16 pixels wide."""


def answer_example() -> dict[str, Any]:
    """A question about a picture of three bars, as JSON."""
    return {"image": _picture(), "question": "How many bars are there?"}


def chat_example() -> dict[str, Any]:
    """The same as a conversation."""
    image = {"type": "image_url", "image_url": {"url": _picture()}}
    text = {"type": "text", "text": "How many bars are there?"}
    return {"messages": [{"role": "user", "content": [image, text]}]}


def _picture() -> str:
    """A data URL of a small PNG."""
    picture = Image.new("RGB", _SIDES, "white")
    drawing = ImageDraw.Draw(picture)
    for left, top, colour in _BARS:
        drawing.rectangle((left, top, left + 15, _SIDES[1] - 8), fill=colour)
    file = io.BytesIO()
    picture.quantize(8).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
