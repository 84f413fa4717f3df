"""The folder of a trained model, written whole or not at all, and sealed with the manifest that a service checks."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from services.common.manifest import Architecture, Manifest, Source, sums_of, write_manifest

_TOOLS: Final = ("pillow", "tokenizers", "torch", "transformers")
_READABLE: Final = 0o644


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the named one to write to; it takes that one's place once all is written, and goes if not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh, old = staging / "new", staging / "old"
        fresh.mkdir()
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(staging)


def seal(folder: Path, architecture: Architecture, source: Source, max_patches: int | None = None) -> None:
    """Write the manifest over every file of the folder, readable by all: a container runs as another user."""
    files = [path for path in folder.iterdir() if path.is_file()]
    for path in files:
        path.chmod(_READABLE)
    manifest = Manifest(
        architecture=architecture,
        variant="fp32",
        source=source,
        max_patches=max_patches,
        tools={name: version(name) for name in _TOOLS},
        sha256=sums_of(folder, [path.name for path in files]),
    )
    write_manifest(folder, manifest)
