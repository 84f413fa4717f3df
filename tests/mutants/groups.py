"""The groups in ``groups.toml``: what is mutated, and which tests should notice."""

import tomllib
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

ROOT: Final = Path(__file__).parents[2]


class Group(BaseModel):
    """Modules (globs relative to the repository root) and the tests that should notice a bug in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """The paths of the modules, sorted. Exits if a pattern matches nothing."""
        found: set[str] = set()
        for pattern in self.modules:
            paths = [path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)]
            if not paths:
                message = f"group {self.name}: {pattern} matches no file; fix tests/mutants/groups.toml"
                raise SystemExit(message)
            found.update(paths)
        return sorted(found)


def load(names: list[str]) -> list[Group]:
    """The named groups, in the file's order; all if none are named. Exits on an unknown name."""
    table = tomllib.loads(Path(__file__).with_name("groups.toml").read_text(encoding="utf-8"))
    groups = [Group.model_validate(row) for row in table["group"]]
    if unknown := set(names) - {group.name for group in groups}:
        known = ", ".join(group.name for group in groups)
        message = f"no such group: {', '.join(sorted(unknown))}; there are {known}"
        raise SystemExit(message)
    return [group for group in groups if not names or group.name in names]
