"""Text as a reader sees it: typography that does not change what is said is set aside, on both sides of a comparison.

Published metrics (exact match, ANLS, Pix2Struct's relaxed correctness) do not use this: they compare to the letter.
"""

import re
import unicodedata
from typing import Final

_SINGLE_QUOTES: Final = "\u2018\u2019\u201a\u201b\u2032\u2039\u203a`\u00b4"
_DOUBLE_QUOTES: Final = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_INVISIBLE: Final = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_QUOTES: Final = str.maketrans(dict.fromkeys(_SINGLE_QUOTES, "'") | dict.fromkeys(_DOUBLE_QUOTES, '"'))
_MARKS: Final = _QUOTES | str.maketrans(
    dict.fromkeys(_DASHES, "-") | dict.fromkeys(_INVISIBLE, "") | {"\u2044": "/", "\u3002": "."}
)
# NFKC would run these into a digit before them: 10² is not 102, and 10½ not 101/2
_RAISED: Final = re.compile("(?<=[0-9])(?=[\u00b2\u00b3\u00b9\u2070-\u207b])")
_APART: Final = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2080-\u2089\u2150-\u215f\u2189\u2460-\u249b])")


def straight_quotes(text: str) -> str:
    """The text with straight quotes of two kinds, single and double."""
    return text.translate(_QUOTES)


def plain_marks(text: str) -> str:
    """Straight quotes, one kind of dash, single plain spaces, nothing invisible, and no space around."""
    return " ".join(text.translate(_MARKS).split())


def as_read(text: str) -> str:
    """The text in Unicode's compatibility form (NFKC), lower-cased, with plain marks and without a final full stop."""
    marked = _APART.sub(" ", _RAISED.sub("^", plain_marks(text)))  # marks first: NFKC takes ´ apart
    return plain_marks(unicodedata.normalize("NFKC", marked).lower()).removesuffix(".").strip()


def same_as_read(answer: str, gold: str) -> float:
    """1 if a reader would see the same text, else 0."""
    return float(as_read(answer) == as_read(gold))
