"""Parse JSON within bounds: values, levels, digits, and each name once in an object."""

import json
import math
from typing import Any, Final, NoReturn

_MOST_VALUES: Final = 100_000
_DEEPEST: Final = 64
_MOST_DIGITS: Final = 400
"""More than the largest double has."""
_STRUCTURAL: Final = (b",", b"[", b"{")

Container = dict[str, Any] | list[Any]


class BoundError(ValueError):
    """JSON beyond a bound; the message continues a sentence whose subject is the text."""


def parse(text: bytes) -> Any:  # noqa: ANN401 any JSON value
    """The value. The number of values is bounded before anything is built from them.

    Commas and brackets in strings count too: base64 has none, and no text that a request may hold has so many.

    Raises:
        BoundError: too many values, too many levels, a number that is too long or too large, or a name twice.
        ValueError: not JSON.
    """
    if sum(map(text.count, _STRUCTURAL)) > _MOST_VALUES:
        message = f"has more than {_MOST_VALUES} commas and brackets, which is the most"
        raise BoundError(message)
    try:
        value = json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
        )
    except RecursionError as error:
        raise _too_deep() from error
    _check_depth(value)
    return value


def _check_depth(value: object) -> None:
    level = _containers([value])
    for _ in range(_DEEPEST):
        if not level:
            return
        level = [inner for outer in level for inner in _containers(outer)]
    if level:
        raise _too_deep()


def _containers(value: Container) -> list[Container]:
    inner = value.values() if isinstance(value, dict) else value
    return [one for one in inner if isinstance(one, dict | list)]


def _too_deep() -> BoundError:
    return BoundError(f"is nested more than {_DEEPEST} levels deep, which is the most")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a name that is there twice, a proxy may check one value and the server use the other."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in fields if names.count(name) > 1)
        message = f"has the field {twice[:200]!r} twice in one object: send it once"
        raise BoundError(message)
    return fields


def _constant(name: str) -> NoReturn:
    message = f"{name} is not a number in JSON"
    raise ValueError(message)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        message = f"has the number {digits[:20]}, which is too large"
        raise BoundError(message)
    return number


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        message = f"has a number of {len(digits)} digits, at most {_MOST_DIGITS} are read"
        raise BoundError(message)
    return int(digits)
