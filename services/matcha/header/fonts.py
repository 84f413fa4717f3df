"""Fonts of the header, and what they can draw.

A font draws the same box for every character that it lacks, so that two different questions would look alike.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

FONT_SIZE: Final = 36
Font = ImageFont.FreeTypeFont

_NO_CHARACTER: Final = "\U0010ffff"
"""Unicode guarantees that no font has it."""
_SPACES: Final = "\t\n\v\f\r "
"""What ``textwrap`` turns into spaces."""
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "RLE", "RLO", "RLI"})
_VARIATION_SELECTORS: Final = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_LISTED: Final = 5


class UndrawableError(ValueError):
    """A text has characters that the header cannot show; the message names them."""


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


def font_for(character: str, fonts: Sequence[Font]) -> Font | None:
    """The first font that has a character; None if all lack it."""
    return next((font for font in fonts if _draws(font, character)), None)


def drawable(text: str, fonts: Sequence[Font]) -> str:
    """The text in characters that the fonts have; unchanged if they have all of it.

    Else it is composed (NFC), every kind of space becomes a space, and characters that are invisible are left out.

    Raises:
        UndrawableError: the fonts lack a character, or one belongs to a script that is written from right to left,
            which would be drawn in reverse.
    """
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        message = "the question has text that is written from right to left, which the header cannot show: translate it"
        raise UndrawableError(message)
    if all(font_for(character, fonts) for character in text):
        return text
    text = "".join(_replaced(character, fonts) for character in unicodedata.normalize("NFC", text))
    missing = list(dict.fromkeys(character for character in text if not font_for(character, fonts)))
    if missing:
        named = ", ".join(map(_name, missing[:_LISTED])) + f" and {len(missing) - _LISTED} more" * (
            len(missing) > _LISTED
        )
        message = (
            f"the question has characters that the header's font cannot draw: {named}. Leave them out, or start the "
            "service with a font that has them (--header-fonts)"
        )
        raise UndrawableError(message)
    return text


def _replaced(character: str, fonts: Sequence[Font]) -> str:
    if font_for(character, fonts):
        return character
    if unicodedata.category(character)[0] == "Z" or character == "\x85":
        return " "
    return "" if unicodedata.category(character) == "Cf" or character in _VARIATION_SELECTORS else character


@lru_cache(maxsize=1 << 16)
def _draws(font: Font, character: str) -> bool:
    if unicodedata.category(character) in {"Cc", "Cs"}:  # a surrogate is half a character
        return character in _SPACES
    return character == " " or _glyph(font, character) != _glyph(font, _NO_CHARACTER)


def _glyph(font: Font, character: str) -> tuple[float, tuple[int, int], bytes]:
    mask = font.getmask(character)
    return font.getlength(character), mask.size, bytes(mask)


def _name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    is_seen = character.isprintable() and not unicodedata.combining(character)
    return f"{character} ({code})" if is_seen else unicodedata.name(character, code)
