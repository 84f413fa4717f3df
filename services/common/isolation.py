"""Keep a failure with the item that caused it."""

from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def attempt(compute: Callable[[], Result]) -> Result | Exception:
    """The result, or the exception as a value, which the caller puts in the item's place and has logged."""
    try:
        return compute()
    except Exception as error:  # noqa: BLE001 any item may fail in any way, and its neighbours must not
        return error
