"""Relaxed correctness: a number may be off by 5 %, anything else must be equal.

There are two rules. ``relaxed_pix2struct`` is the published one, with all its quirks, for comparison with published
results. ``relaxed_strict`` is the one to trust: it reads only plain decimal numbers, handles thousands separators,
percent signs, zero and negative targets correctly, and allows no tolerance on years.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 0.05
_ROUNDING: Final = 1e-12  # 1.05 - 1 is a little more than 0.05

_NUMBER: Final = re.compile(
    r"[-+−]?(?=\.?[0-9])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]*)?(?:e[-+]?[0-9]{1,2})?",
    re.IGNORECASE,
)
_YEAR: Final = re.compile(r"(?:19|20)[0-9]{2}")


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
class _Number:
    value: float
    percent: bool


def relaxed_strict(answer: str, gold: str) -> float:
    """Relaxed correctness without Pix2Struct's quirks.

    Both sides are stripped. A number is plain decimal notation, with or without thousands separators, exponent and
    percent sign; if only one side has a percent sign, it may be mere notation (50% for 50) or a factor (50% for 0.5). A
    zero target requires zero. A bare integer target from 1900 to 2099 is taken to be a year and must match exactly.
    """
    predicted, target = _number(answer), _number(gold)
    if predicted is None or target is None:
        return float(answer.strip().lower() == gold.strip().lower())
    tolerance = 0.0 if _YEAR.fullmatch(gold.strip()) else TOLERANCE
    return float(any(_near(value, target.value, tolerance) for value in _readings(predicted, target)))


def _number(text: str) -> _Number | None:
    text = text.strip()
    percent = text.endswith("%")
    match = _NUMBER.fullmatch(text.removesuffix("%").rstrip())
    if match is None:
        return None
    value = float(match[0].replace(",", "").replace("−", "-"))
    return _Number(value, percent) if math.isfinite(value) else None


def _readings(predicted: _Number, target: _Number) -> tuple[float, ...]:
    if predicted.percent == target.percent:
        return (predicted.value,)
    scale = 0.01 if predicted.percent else 100.0
    return predicted.value, predicted.value * scale


def _near(value: float, target: float, tolerance: float) -> bool:
    return abs(value - target) <= (tolerance + _ROUNDING) * abs(target)
