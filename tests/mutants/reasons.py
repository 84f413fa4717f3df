"""The reasons in ``survivors.toml`` why mutants may go unnoticed."""

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tests.mutants.mutant import Mutant


class Rule(BaseModel):
    """Changes that tests need not notice anywhere; ``change`` is a regular expression for ``old → new``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    change: str
    reason: str = Field(min_length=1)


class Survivor(BaseModel):
    """One mutant that was reviewed; ``change`` is exactly ``old → new``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str
    function: str
    change: str
    reason: str = Field(min_length=1)


class Reasons(BaseModel):
    """The whole list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: tuple[Rule, ...] = ()
    survivor: tuple[Survivor, ...] = ()

    def of(self, mutant: Mutant) -> str | None:
        """The listed reason for a mutant, or None."""
        for survivor in self.survivor:
            if (survivor.module, survivor.function) == mutant.place and survivor.change == mutant.change:
                return survivor.reason
        return next((rule.reason for rule in self.rule if re.search(rule.change, mutant.change or "")), None)


def load() -> Reasons:
    """Read the list."""
    return Reasons.model_validate(tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8")))
