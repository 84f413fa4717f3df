"""Write a model folder atomically, and seal it with the manifest that services verify."""

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
    """Yield a staging folder next to ``folder``; it replaces ``folder`` on success and is removed on failure.

    Staging folders left behind by killed runs are removed first.
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
    """Write the manifest with the checksums of all files in the folder, and make the files world-readable.

    A container runs as a different user from the one who prepared the folder. Files that are readable already keep
    their mode, which a hard link shares with the file it was made from.
    """
    files = [path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST_NAME]
    for path in files:
        if path.stat().st_mode & _READABLE != _READABLE:
            path.chmod(_READABLE)
    sums = sums_of(folder, [path.name for path in files])
    write_manifest(folder, manifest.model_copy(update={"sha256": sums}))
