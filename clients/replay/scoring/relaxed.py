"""Relaxed correctness: a number may be off by 5 %, anything else must be equal.

There are two rules. ``relaxed_pix2struct`` is the published one, with all its quirks, for comparison with published
results. ``relaxed_strict`` is the one to trust: it reads only plain decimal numbers, handles thousands separators,
percent signs, zero and negative targets correctly, and allows no tolerance on years.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from clients.replay.scoring.reading import as_read, same_as_read

TOLERANCE: Final = 0.05
_ROUNDING: Final = 1e-12  # 1.05 - 1 is a little more than 0.05

_NUMBER: Final = re.compile(
    r"[-+]?(?=\.?[0-9])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]*)(?:\.[0-9]*)?(?:e[-+]?[0-9]{1,2})?"
)
_YEAR: Final = re.compile(r"(?:19|20)[0-9]{2}(?:\.0)?")


def relaxed_pix2struct(answer: str, gold: str) -> float:
    """Relaxed correctness exactly as in Pix2Struct's evaluation.

    Known quirks, kept on purpose: a zero target is compared as text ("0.0" is not "0"); "50%" is 0.5, so not "50";
    "1,000" is text; text is compared without stripping; a year may be off by a century; "nan", "inf" and "1_0" are
    numbers to Python.
    """
    predicted, target = _as_python_reads(answer), _as_python_reads(gold)
    if predicted is not None and target:
        return float(abs(predicted - target) / abs(target) <= TOLERANCE)
    return float(answer.lower() == gold.lower())


def _as_python_reads(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written: 50% has the value 50, and ``percent``."""

    value: float
    percent: bool


def relaxed_strict(answer: str, gold: str) -> float:
    """Relaxed correctness without Pix2Struct's quirks.

    Both sides are compared as read. A number is plain decimal notation, with or without thousands separators (commas or
    spaces), exponent and percent sign; if only one side has a percent sign, it may be mere notation (50% for 50) or a
    factor (50% for 0.5). A zero target requires zero. A whole target from 1900 to 2099 without a separator (2010, or
    2010.0) is taken to be a year and must match exactly.
    """
    predicted, target = read_number(answer), read_number(gold)
    if predicted is None or target is None:
        return same_as_read(answer, gold)
    tolerance = 0.0 if _YEAR.fullmatch(as_read(gold)) else TOLERANCE
    return float(any(_near(value, target.value, tolerance) for value in _readings(predicted, target)))


def read_number(text: str) -> Number | None:
    """The number that a text is, None if it is anything else; units and currencies are not read."""
    read = as_read(text)
    match = _NUMBER.fullmatch(read.removesuffix("%").rstrip())
    if match is None:
        return None
    value = float(re.sub("[, ]", "", match[0]))
    return Number(value, read.endswith("%")) if math.isfinite(value) else None


def _readings(predicted: Number, target: Number) -> tuple[float, ...]:
    if predicted.percent == target.percent:
        return (predicted.value,)
    scale = 0.01 if predicted.percent else 100.0
    return predicted.value, predicted.value * scale


def _near(value: float, target: float, tolerance: float) -> bool:
    return abs(value - target) <= (tolerance + _ROUNDING) * abs(target)
