"""Stands in for the hub's client, where what is asked of it matters and not what it gives."""

from collections.abc import Callable
from pathlib import Path

Asked = tuple[str, str | None, list[str]]
"""Repository, revision and patterns of one download."""


class Client:
    """Has every repository, at revision c0ffee, with a tokenizer; records what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Asked] = []
        self._folder = folder

    def snapshot_download(self, repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        """As ``huggingface_hub`` has it."""
        self.asked.append((repository, revision, allow_patterns))
        folder = self._folder / repository / "c0ffee"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").touch()
        return str(folder)


def raising(error: Exception) -> Callable[..., str]:
    """A function of the client that fails."""

    def fail(*_: object, **__: object) -> str:
        raise error

    return fail
