"""Characters that a header's font lacks: drawn in another font, or named, and never drawn as equal boxes."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from services.matcha.header import render_text
from services.matcha.header.fonts import UndrawableError, drawable, font_for, load_font

FONTS = Path(mpl.__file__).parent / "mpl-data/fonts/ttf"
PILLOW = load_font(None)
"""Latin letters and little else."""
SANS = load_font(FONTS / "DejaVuSans.ttf")
MONO = load_font(FONTS / "DejaVuSansMono.ttf")


@pytest.mark.parametrize("text", ["", "What is the title?", "“Which” is it…", " a\tb\nc ", "5 % of 3|4 ~ {x}"])
def test_what_the_font_has_stays_as_it_is(text: str) -> None:
    assert drawable(text, [PILLOW]) == text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Wie viele Säulen?", "ä (U+00E4)"),
        ("2010–2020", "– (U+2013)"),
        ("图表中有多少条?", "图 (U+56FE), 表 (U+8868), 中 (U+4E2D), 有 (U+6709), 多 (U+591A) and 2 more"),
        ("Which 👍🏽?", "👍 (U+1F44D), 🏽 (U+1F3FD)"),
        ("x\u0302 or y\u0302?", "COMBINING CIRCUMFLEX ACCENT"),
        ("a\0b\x1b[0m", "U+0000, U+001B"),
        ("half \ud83d", "U+D83D"),
        ("\U0010ffff", "U+10FFFF"),
        ("ää ä", "ä (U+00E4). "),
    ],
)
def test_what_the_font_lacks_is_named(text: str, named: str) -> None:
    with pytest.raises(UndrawableError) as refused:
        drawable(text, [PILLOW])
    start = f"the question has characters that the header's font cannot draw: {named}"
    assert str(refused.value).startswith(start)
    assert str(refused.value).endswith("with a font that has them (--header-fonts)")
    str(refused.value).encode()


@pytest.mark.parametrize("text", ["כמה עמודות?", "كم عدد الأعمدة?", "which \u202erab?"])
def test_what_is_written_from_right_to_left_is_refused_in_any_font(text: str) -> None:
    with pytest.raises(UndrawableError, match="from right to left"):
        drawable(text, [PILLOW, SANS])


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("1\u202f000\u00a0000", "1 000 000"),
        ("one\u2028two\x85three", "one two three"),
        ("ac\u200bross and co\u00adop\ufeff", "across and coop"),
        ("1\ufe0f", "1"),
    ],
)
def test_spaces_are_spaces_and_what_is_invisible_is_not_drawn(text: str, drawn: str) -> None:
    assert drawable(text, [PILLOW]) == drawn


def test_a_letter_and_its_accent_are_one_letter_if_the_font_has_only_that() -> None:
    assert drawable("e\u0301", [load_font(FONTS / "STIXGeneralBolIta.ttf")]) == "é"
    assert drawable("e\u0301", [SANS]) == "e\u0301"


def test_of_several_fonts_the_first_that_has_a_character_draws_it() -> None:
    fonts = [PILLOW, MONO, SANS]
    assert [font_for(character, fonts) for character in "aä"] == [PILLOW, MONO]
    only_sans = next(c for c in map(chr, range(0x2190, 0x2C00)) if font_for(c, fonts) is SANS)
    assert drawable(f"a ä {only_sans}", fonts) == f"a ä {only_sans}"


def test_two_questions_in_another_font_are_two_headers() -> None:
    one, two = (np.asarray(render_text(text, PILLOW, [SANS])) for text in ("Säule А?", "Säule Б?"))
    assert one.shape[0] == two.shape[0]
    assert one.shape != two.shape or (one != two).any()
    assert (one[:5] == 255).all(), "the border"
    assert (one < 128).any()


def test_other_fonts_change_nothing_where_they_are_not_needed() -> None:
    text = "What is the title of the chart? " * 5
    assert render_text(text, PILLOW, [SANS]) == render_text(text, PILLOW)


def test_lines_of_several_fonts_have_their_own_places() -> None:
    one, two = (render_text("ä" * count, PILLOW, [SANS]) for count in (80, 160))
    step = two.height - one.height
    drawn = np.asarray(two)
    assert step > 36
    assert (drawn[5 : 5 + step] == drawn[5 + step : 5 + 2 * step]).all()
    ink = np.asarray(one).min(axis=(0, 2)) < 128
    assert ink[:5].sum() == ink[-5:].sum() == 0
    assert ink[5:-5].mean() > 0.5
