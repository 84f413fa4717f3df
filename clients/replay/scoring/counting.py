"""Counts as text: which number an answer or a token spells, and whether it is right.

The whole text must be the number, apart from surrounding spaces and punctuation: a number inside a sentence is not
read, because which one is meant would be a guess.
"""

import re
import unicodedata
from typing import Final

from clients.replay.scoring.han import is_han, read_han
from clients.replay.scoring.reading import plain_marks

_WORDS: Final = {
    "no": 0,
    "none": 0,
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
}
_DIGITS: Final = re.compile(r"\+?(\d{1,18})(?:\.0*)?")  # int() rejects numbers of thousands of digits
_EDGES: Final = " .,;:!?\"'()．，！？、"


def read_digits(text: str) -> int | None:
    """The count that a text is in digits, as 5, 5.0 or +5; None if it is anything else."""
    match = _DIGITS.fullmatch(text.strip())
    return int(match[1]) if match else None


def read_latin(text: str) -> int | None:
    """The number that a text spells in digits or as an English word; None if it is not a number."""
    token = _token(text).casefold()
    number = read_digits(token)
    return _WORDS.get(token) if number is None else number


def read_count(text: str) -> int | None:
    """Like ``read_latin``, plus Han numerals (三, 两个, 十五) and single numeric characters (③, Ⅲ, ²)."""
    number = read_latin(text)
    if number is not None:
        return number
    token = _token(text)
    return _single(token) if len(token) == 1 and not is_han(token) else read_han(token)


def _token(text: str) -> str:
    return plain_marks(text).strip(_EDGES)


def _single(character: str) -> int | None:
    value = unicodedata.numeric(character, None)
    return int(value) if value is not None and value.is_integer() else None


def count_match(answer: str, gold: str) -> float:
    """1 if the answer spells the gold count in any script, else 0; an answer that is not a count is wrong."""
    wanted = read_count(gold)
    return float(wanted is not None and read_count(answer) == wanted)
