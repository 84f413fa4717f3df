"""Writes the files of a sample, each completely or not at all."""

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it, so that a file of that name is always complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.rename(path)
