"""Find a model by name: an artifact, a folder in the hub's layout, a snapshot in the hub's cache, or a hub id."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from services.common.artifact.architecture import CONFIG, read_config, require_architecture
from services.common.artifact.cache import is_hub_id
from services.common.artifact.hub import PICKLED_WEIGHTS, download
from services.common.artifact.manifest import (
    MANIFEST_NAME,
    Architecture,
    Manifest,
    PrepareError,
    Source,
    read_manifest,
)

WEIGHTS_INDEX: Final = "model.safetensors.index.json"
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's folder and source; ``manifest`` is set if this project made the folder."""

    folder: Path
    source: Source
    manifest: Manifest | None

    @property
    def weights(self) -> list[Path]:
        """Weight files: safetensors if there are any, else the pickled file."""
        return sorted(self.folder.glob("*.safetensors")) or sorted(self.folder.glob(PICKLED_WEIGHTS))

    @property
    def weights_bytes(self) -> int:
        """Total size of the weight files."""
        return sum(path.stat().st_size for path in self.weights)

    @property
    def dtypes(self) -> set[str]:
        """Types of the tensors in the safetensors files, as these name them: ``F32``, ``BF16``, …

        Raises:
            PrepareError: a file is damaged.
        """
        found = set()
        for path in self.folder.glob("*.safetensors"):
            try:
                with safe_open(path, framework="numpy") as file:
                    found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 it is no mapping
            except SafetensorError as error:
                message = f"{path} is incomplete or no safetensors file ({error}): download it again"
                raise PrepareError(message) from error
        return found

    def require(self, architecture: Architecture) -> None:
        """Reject other architectures, and folders whose weights are missing or incomplete.

        Raises:
            ManifestError: the folder has no config, or another architecture.
            PrepareError: it has no weights or not all of them.
        """
        require_architecture(read_config(self.folder), self.source.id, architecture)
        if not self.weights:
            message = f"{self.source.id} contains neither *.safetensors nor {PICKLED_WEIGHTS}: is it complete?"
            raise PrepareError(message)
        self._require_shards()

    def _require_shards(self) -> None:
        index = self.folder / WEIGHTS_INDEX
        if not index.is_file():
            return
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(name for name in shards if not (self.folder / name).is_file())
        if missing:
            message = f"{self.folder} lacks {', '.join(missing)}, which {WEIGHTS_INDEX} lists: download the rest"
            raise PrepareError(message)


def find(
    model: str, revision: str | None, wanted: Sequence[str], architecture: Architecture | None = None
) -> Checkpoint:
    """Find a model by name: a folder if it exists, else a repository on the hub.

    Args:
        model: a folder, or a hub id (owner/name).
        revision: a branch, tag or commit on the hub; None for its main branch.
        wanted: patterns of the files to download.
        architecture: what the model must be for its files to be downloaded; None for anything.

    Raises:
        PrepareError: not found, or it cannot be downloaded.
        ManifestError: the folder has a manifest that cannot be read; or the model on the hub is of another
            architecture.
    """
    folder = Path(model)
    if folder.is_dir():
        return _local(folder, revision)
    if not is_hub_id(model):
        message = f"{model} is neither a folder nor a Hugging Face id (owner/name)"
        raise PrepareError(message)
    if architecture:  # told from a small file, before gigabytes are downloaded for nothing
        folder = download(model, revision, [CONFIG])
        require_architecture(read_config(folder), model, architecture)
        revision = folder.name
    folder = download(model, revision, wanted)
    return Checkpoint(folder, Source(id=model, revision=folder.name), None)


def _local(folder: Path, revision: str | None) -> Checkpoint:
    if revision:
        message = f"{folder} is a folder and has no revision {revision}: omit --revision"
        raise PrepareError(message)
    if (folder / MANIFEST_NAME).is_file():
        manifest = read_manifest(folder)
        return Checkpoint(folder, manifest.source, manifest)
    return Checkpoint(folder, _snapshot_source(folder.resolve()) or _weights_source(folder), None)


def _snapshot_source(folder: Path) -> Source | None:
    """Id and commit of a snapshot in the hub's cache, from its path ``models--owner--name/snapshots/commit``."""
    kind, *parts = folder.parent.parent.name.split("--")
    if folder.parent.name != "snapshots" or kind != "models":
        return None
    return Source(id="/".join(parts), revision=folder.name)


def _weights_source(folder: Path) -> Source:
    digest = hashlib.sha256()
    for path in Checkpoint(folder, Source(id="", revision=""), None).weights:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    return Source(id=folder.resolve().name, revision=f"sha256:{digest.hexdigest()[:16]}")
