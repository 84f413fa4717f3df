"""Write a model folder whole or not at all, and seal it with the manifest that a service checks."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.common.artifact.manifest import MANIFEST_NAME, Manifest, sums_of, write_manifest

_READABLE: Final = 0o644


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the named one to write to; it takes that one's place once all is written, and goes if not.

    What a killed run left beside it is removed first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".{folder.name}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        fresh, old = staging / "new", staging / "old"
        fresh.mkdir()
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(staging)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the sums of every file of the folder, which become readable by all.

    By all, because a container runs as another user than the one who prepared the folder.
    """
    files = [path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST_NAME]
    for path in files:
        path.chmod(_READABLE)
    sums = sums_of(folder, [path.name for path in files])
    write_manifest(folder, manifest.model_copy(update={"sha256": sums}))
