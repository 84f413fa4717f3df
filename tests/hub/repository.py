"""A folder as a repository of the hub: its commit, and its files with what the hub says about each."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

BRANCH: Final = "main"
_LARGE: Final = (".safetensors", ".bin", "tokenizer.json")
"""What the hub keeps apart from git, whatever its size."""
_POINTER_BYTES: Final = 134
"""Git keeps a file of a few lines in place of a large one."""


@dataclass(frozen=True)
class Entry:
    """A file of a repository: its path inside the repository, and its bytes."""

    path: str
    data: bytes

    @property
    def large(self) -> bool:
        """Whether the hub keeps the file apart from git."""
        return self.path.endswith(_LARGE)

    @cached_property
    def blob(self) -> str:
        """Git's id of the content, 40 hex digits."""
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data, usedforsecurity=False).hexdigest()

    @cached_property
    def etag(self) -> str:
        """What the hub names the content by: 64 hex digits of SHA-256 for a large file, else git's id."""
        return hashlib.sha256(self.data).hexdigest() if self.large else self.blob

    def listed(self) -> dict[str, Any]:
        """The file in a listing of the repository's tree."""
        listed: dict[str, Any] = {"type": "file", "oid": self.blob, "size": len(self.data), "path": self.path}
        if self.large:
            listed["lfs"] = {"oid": self.etag, "size": len(self.data), "pointerSize": _POINTER_BYTES}
        return listed


class Repository:
    """What a folder holds when this is made, under one commit.

    Attributes:
        name: owner and name, with a slash between.
        files: by path, in order.
        commit: 40 hex digits that follow from the name and the content.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = [Entry(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
        self.files = {entry.path: entry for entry in entries}
        said = "\n".join([name, *(f"{entry.path} {entry.blob}" for entry in entries)])
        self.commit = hashlib.sha1(said.encode(), usedforsecurity=False).hexdigest()

    def has(self, revision: str) -> bool:
        """Whether a branch or a commit of this name exists."""
        return revision in {BRANCH, self.commit}

    def info(self) -> dict[str, Any]:
        """The hub's description of the repository."""
        siblings = [{"rfilename": path} for path in self.files]
        return {"id": self.name, "modelId": self.name, "sha": self.commit, "siblings": siblings}
