"""What building an artifact folder takes, whatever the model: room on the disk, a whole folder, links, versions."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from services.common.artifact.manifest import Architecture, ManifestError, PrepareError, Source, verify
from services.common.artifact.source import Checkpoint
from services.common.artifact.writer import whole_folder

_NO_SPACE: Final = os.strerror(errno.ENOSPC)
"""The text for a full disk in the errors of both Python and safetensors."""
_STORED: Final = {"F32": "fp32", "BF16": "bf16"}


def already_prepared(out: Path, architecture: Architecture, source: Source, variant: str, inputs: str) -> bool:
    """Whether the folder already contains this exact artifact, complete and made from the same inputs.

    Raises:
        PrepareError: the folder contains something else.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return False
    try:
        manifest = verify(out, architecture)
    except ManifestError as error:
        message = f"{out} exists but is not an artifact of this model ({error}): name another folder, or pass --force"
        raise PrepareError(message) from error
    existing = f"{manifest.source.id} @ {manifest.source.revision} as {manifest.variant}"
    if (manifest.variant, manifest.source) != (variant, source):
        message = f"{out} contains {existing}: name another folder, or pass --force"
        raise PrepareError(message)
    if manifest.inputs not in {None, inputs}:
        different = "a different font, tokenizer, configuration or set of calibration images"
        message = f"{out} contains {existing}, but made with {different}: name another folder, or pass --force"
        raise PrepareError(message)
    return True


@contextmanager
def staged(out: Path, needed_bytes: int) -> Iterator[Path]:
    """Yield a staging folder that becomes ``out``, as ``whole_folder`` does, if there is room for it.

    Raises:
        PrepareError: the disk has less room than needed, or is full before the end.
    """
    _require_room(out, needed_bytes)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{out.parent} cannot be created ({error.strerror}): name another folder (--out, or TALLYGLASS_HOME)"
        raise PrepareError(message) from error
    try:
        with whole_folder(out) as folder:
            yield folder
    except Exception as error:  # safetensors has an error of its own for a full disk
        if _NO_SPACE not in str(error):
            raise
        message = f"the disk of {out.parent} is full: free some space and try again; nothing was left behind"
        raise PrepareError(message) from error


def link(file: Path, folder: Path) -> None:
    """Put a file into a folder: hard-linked, so that its bytes exist once, or copied where links do not reach."""
    target = folder / file.name
    try:
        target.hardlink_to(file.resolve())
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)


def link_all(source: Path, folder: Path, names: Iterable[str]) -> None:
    """``link`` those of the named files that the source has."""
    for name in names:
        if (source / name).is_file():
            link(source / name, folder)


def is_stored_as(checkpoint: Checkpoint, form: str) -> bool:
    """Whether the safetensors files serve ``fp32`` or ``bf16`` as they are; 16-bit ones serve fp32 without a loss."""
    stored = {_STORED.get(dtype) for dtype in checkpoint.dtypes}
    return stored == {form} or (form == "fp32" and bool(stored) and stored <= {"fp32", "bf16"})


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that make a folder; those not installed are left out."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _require_room(out: Path, needed_bytes: int) -> None:
    existing = next(parent for parent in out.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        message = (
            f"{needed_bytes / 1e9:.1f} GB needed in {existing}, only {free / 1e9:.1f} GB free: name another folder"
        )
        raise PrepareError(message)
