"""One mutant and its fate."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

_PASSED: Final = 0
_NO_TEST: Final = (5, 33)


class Fate(Enum):
    """Whether the tests noticed a mutant: one that fails, hangs or crashes them is noticed."""

    NOTICED = "noticed"
    SURVIVED = "survived"
    NO_TEST = "no test runs it"
    UNTRIED = "not tried"

    @classmethod
    def of(cls, exit_code: int | None) -> Self:
        """From pytest's exit status, as stored by mutmut."""
        if exit_code is None:
            return cls.UNTRIED
        if exit_code == _PASSED:
            return cls.SURVIVED
        return cls.NO_TEST if exit_code in _NO_TEST else cls.NOTICED


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed line: ``change`` is ``old → new``, None unless the mutant went unnoticed."""

    module: str
    function: str
    fate: Fate
    change: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Where it is: module and function."""
        return self.module, self.function

    @property
    def unnoticed(self) -> bool:
        """Whether the mutant needs a test or a reason."""
        return self.fate in (Fate.SURVIVED, Fate.NO_TEST)
