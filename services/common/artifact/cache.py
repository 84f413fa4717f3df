"""Where prepared models are kept: folders under ``TALLYGLASS_HOME``, one for each model, revision and variant."""

import hashlib
import os
from pathlib import Path

_KEY_LENGTH = 12


def is_hub_id(model: str) -> bool:
    """Whether a name can be a Hugging Face id (owner/name), not a path."""
    return not model.startswith((".", "/", "~")) and model.count("/") == 1


def home() -> Path:
    """``TALLYGLASS_HOME``, by default ``tallyglass`` in the user's cache folder."""
    if named := os.environ.get("TALLYGLASS_HOME"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallyglass"


def artifact_folder(model: str, revision: str | None, variant: str) -> Path:
    """The folder of a model's artifact in a variant, whether it exists or not.

    A model on the hub is named by its id and the revision asked for, so that serving it again needs no network; to
    follow a branch that moved, prepare again with --force. A folder is named by its path and its files' sizes and
    times, so that a changed one is prepared anew.
    """
    folder = Path(model)
    if folder.is_dir():
        name = f"{folder.resolve().name}-{_fingerprint(folder.resolve())}"
    else:
        name = model.replace("/", "--") + (f"@{revision.replace('/', '-')}" if revision else "")
    return home() / name / variant


def _fingerprint(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((str(folder), states)).encode()).hexdigest()[:_KEY_LENGTH]
