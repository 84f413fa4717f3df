"""Find a model: a local folder, or a Hugging Face id and revision, downloaded once."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from services.common.artifact.manifest import MANIFEST_NAME, Manifest, Source, read_manifest

SAFE_WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json")
_FONT_REPOSITORY, _FONT = "ybelkada/fonts", "Arial.TTF"
_WANTED = ["*.json", "*.safetensors", PICKLED_WEIGHTS]
_PIECE_BYTES = 1 << 20


class PrepareError(Exception):
    """The model cannot be prepared; the message says why and what to do."""


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

    def require_pix2struct(self) -> None:
        """Reject other architectures and folders without weights.

        Raises:
            PrepareError: the folder has no config, another architecture or no weights.
        """
        config = self.folder / "config.json"
        if not config.is_file():
            message = f"{self.folder} has no config.json: name a model folder as saved by transformers"
            raise PrepareError(message)
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
        if kind != "pix2struct":
            message = f"{self.source.id} is a {kind} model: name a pix2struct one, such as google/matcha-chartqa"
            raise PrepareError(message)
        if not self.weights:
            message = f"{self.source.id} contains neither *.safetensors nor {PICKLED_WEIGHTS}: is it complete?"
            raise PrepareError(message)


def find(model: str, revision: str | None) -> Checkpoint:
    """Find a model by name: a folder if it exists, else a repository on the hub.

    Raises:
        PrepareError: not found, or it cannot be downloaded.
    """
    folder = Path(model)
    if folder.is_dir():
        return _local(folder, revision)
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        message = f"{model} is neither a folder nor a Hugging Face id (owner/name)"
        raise PrepareError(message)
    return _downloaded(model, revision)


def processor_files(processor: str, revision: str | None) -> tuple[Path, Source]:
    """A folder with another model's tokenizer and processor, and its source."""
    folder = Path(processor)
    found = _local(folder, revision) if folder.is_dir() else _downloaded(processor, revision, [*TOKENIZER_FILES])
    if not (found.folder / TOKENIZER_FILES[0]).is_file():
        message = f"{processor} has no {TOKENIZER_FILES[0]} either: name another model with --processor"
        raise PrepareError(message)
    return found.folder, found.source


def training_font() -> Path | None:
    """The header font that Pix2Struct was trained with, from the hub; None if the hub is unreachable."""
    try:
        return Path(hf_hub_download(_FONT_REPOSITORY, _FONT))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None


def _local(folder: Path, revision: str | None) -> Checkpoint:
    if revision:
        message = f"{folder} is a folder and has no revision {revision}: omit --revision"
        raise PrepareError(message)
    if (folder / MANIFEST_NAME).is_file():
        manifest = read_manifest(folder)
        return Checkpoint(folder, manifest.source, manifest)
    weights = Checkpoint(folder, Source(id="", revision=""), None).weights
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    name = folder.resolve().name
    return Checkpoint(folder, Source(id=name, revision=f"sha256:{digest.hexdigest()[:16]}"), None)


def _downloaded(model: str, revision: str | None, wanted: list[str] | None = None) -> Checkpoint:
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=wanted or _WANTED))
    except RevisionNotFoundError as error:
        message = f"{model} has no revision {revision}: see its branches and commits on the hub"
        raise PrepareError(message) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        message = f"model {model} does not exist on the hub (or is private: log in with `hf auth login`)"
        raise PrepareError(message) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        message = f"{model} cannot be downloaded ({type(error).__name__}): download it elsewhere and name its folder"
        raise PrepareError(message) from error
    return Checkpoint(folder, Source(id=model, revision=folder.name), None)
