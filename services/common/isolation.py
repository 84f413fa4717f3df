"""Keep a failure with the item that caused it, and let a computation end that nobody waits for.

The engines call ``checkpoint`` between layers, images and tokens; only the worker's loop knows what that should do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Result = TypeVar("Result")

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


class Abandoned(BaseException):
    """Nobody waits for what is being computed."""


def attempt(compute: Callable[[], Result]) -> Result | Exception:
    """The result, or the exception as a value, which the caller puts in the item's place and has logged."""
    try:
        return compute()
    except Exception as error:  # noqa: BLE001 any item may fail in any way, and its neighbours must not
        return error


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Every ``checkpoint`` in the block calls ``check``, which may raise ``Abandoned`` to end the computation."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def checkpoint(*_: Any) -> None:
    """Between two pieces of a computation.

    Raises:
        Abandoned: nobody waits for the rest.
    """
    check = _check.get()
    if check:
        check()
