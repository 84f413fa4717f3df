"""Han script: whether a text contains it, and which number a token in it spells.

``unicodedata`` knows the everyday, financial and traditional numerals; it lacks the three forms that mean "two" when
counting things. Only whole tokens are read: 什么 ("what"), and 参 or 陆 inside a word, are not numbers.
"""

import re
import unicodedata
from typing import Final

_RANGES: Final = (
    (0x3007, 0x3007),  # 〇, a numeral outside the ideograph blocks
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2FA1F),
    (0x30000, 0x323AF),
)
_HAN: Final = re.compile(f"[{''.join(f'{chr(low)}-{chr(high)}' for low, high in _RANGES)}]")
_PAIRS: Final = {"两": 2, "俩": 2, "倆": 2}
_COUNTERS: Final = frozenset("个個只隻条條人家项項种種层層次级級张張块塊つ")
_WORDS: Final = {"没有": 0, "沒有": 0, "无": 0, "無": 0, "不存在": 0}
_TEN: Final = 10


def is_han(character: str) -> bool:
    """Whether one character is a Han ideograph (or 〇)."""
    return _HAN.fullmatch(character) is not None


def holds_han(text: str) -> bool:
    """Whether any character of the text is a Han ideograph."""
    return _HAN.search(text) is not None


def read_han(token: str) -> int | None:
    """The number from 0 to 99 that a whole token spells in Han numerals (三, 两个, 十五, 二十); else None."""
    if token in _WORDS:
        return _WORDS[token]
    if token[-1:] in _COUNTERS:
        token = token[:-1]
    ten = next((place for place, character in enumerate(token) if _value(character) == _TEN), None)
    if ten is None:
        return _digit(token)
    high = _digit(token[:ten]) if ten else 1
    units = token[ten + 1 :]
    low = _digit(units) if units else 0
    return high * _TEN + low if high and low is not None else None


def _digit(token: str) -> int | None:
    value = _value(token)
    return value if value is not None and value < _TEN else None


def _value(text: str) -> int | None:
    if text in _PAIRS:
        return _PAIRS[text]
    number = unicodedata.numeric(text, None) if is_han(text) else None  # is_han rejects longer texts
    return int(number) if number is not None and number.is_integer() else None
