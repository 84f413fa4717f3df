"""The manifest of a model folder: what it holds, where that came from, and the sum of every file.

A service loads a folder only if its manifest matches, so that a half-copied or altered one is refused with a sentence
instead of answering nonsense. Written by whatever makes a folder: ``services.training``, and MatCha's ``prepare``.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MANIFEST_NAME: Final = "manifest.json"
FORMAT: Final = 1

PIX2STRUCT: Final = "Pix2StructForConditionalGeneration"
QWEN2_VL: Final = "Qwen2VLForConditionalGeneration"
Architecture = Literal["Pix2StructForConditionalGeneration", "Qwen2VLForConditionalGeneration"]
"""What transformers calls the two, in a manifest and in a model's ``config.json``."""

FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\]+$")]
"""Of a file in the folder itself: nothing outside it is read because a manifest says so."""


class ManifestError(Exception):
    """The folder is missing, incomplete, altered or of another architecture; the message says which, and what to do."""


class Source(BaseModel):
    """Where the weights come from: a hub id or a folder's name, and the revision or the training seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    revision: str


class Manifest(BaseModel):
    """Contents of ``manifest.json``; ``sha256`` maps each file name to its sum, in hexadecimal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    architecture: Architecture
    variant: str
    source: Source
    header_font: FileName | None = Field(
        default=None, description="A file of the folder; null is the font inside Pillow."
    )
    max_patches: int | None = Field(default=None, ge=1, description="Default of a request; null where it has none.")
    processor: Source | None = Field(default=None, description="Where tokenizer files came from, if not the source.")
    inputs: str | None = Field(
        default=None, description="Sum of what else it was made of, which the source does not tell; null if unknown."
    )
    tools: dict[str, str] = Field(description="Versions that made the folder, by package.")
    sha256: dict[FileName, str]


def file_sha256(path: Path) -> str:
    """Sum of a file in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path, names: list[str]) -> dict[str, str]:
    """Sums of the named files of a folder."""
    return {name: file_sha256(folder / name) for name in sorted(names)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` into the folder, last and in one step, so that a folder with one is whole."""
    partial = folder / f".{MANIFEST_NAME}.partial"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.rename(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, its files not yet compared.

    Raises:
        ManifestError: no folder, no manifest, or one that does not parse.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        message = f"{folder} is no folder: name one that holds a model and its {MANIFEST_NAME}"
        raise ManifestError(message)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"{folder} has no {MANIFEST_NAME}: the folder is incomplete or was not prepared for this service"
        raise ManifestError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path} is not a manifest this version reads ({where}: {first['msg']}): make the folder anew"
        raise ManifestError(message) from error


def verify(folder: Path, architecture: Architecture) -> Manifest:
    """The manifest of a folder whose files are all there, unaltered, and of the architecture asked for.

    Raises:
        ManifestError: see there.
    """
    manifest = read_manifest(folder)
    if manifest.architecture != architecture:
        message = f"{folder} holds a {manifest.architecture}, this service needs a {architecture}: name another folder"
        raise ManifestError(message)
    for name, expected in manifest.sha256.items():
        path = folder / name
        if not path.is_file():
            message = f"{folder} lacks {name}, which its manifest names: copy or make the folder again"
            raise ManifestError(message)
        if file_sha256(path) != expected:
            message = f"{path} differs from the sum in the manifest: it was altered or copied in part, make it again"
            raise ManifestError(message)
    return manifest
