"""The manifest of a model folder: its contents, their origin, and the checksum of every file.

A service loads a folder only if its manifest matches, so that a partially copied or modified model is rejected with a
clear error instead of answering nonsense. ``services.training`` and both services' ``prepare`` write manifests.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MANIFEST_NAME: Final = "manifest.json"
FORMAT: Final = 1

PIX2STRUCT: Final = "Pix2StructForConditionalGeneration"
QWEN2_VL: Final = "Qwen2VLForConditionalGeneration"
Architecture = Literal["Pix2StructForConditionalGeneration", "Qwen2VLForConditionalGeneration"]
"""Architecture names of transformers, as in a model's ``config.json``."""

FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\]+$")]
"""A bare file name: a manifest must not make a service read files outside the folder."""


class ManifestError(Exception):
    """The folder is missing, incomplete, modified or of another architecture; the message says how to fix it."""


class PrepareError(Exception):
    """The model cannot be prepared; the message says why and what to do."""


class Source(BaseModel):
    """Origin of the weights: a hub id or folder name, and the revision or training seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    revision: str


class Manifest(BaseModel):
    """Contents of ``manifest.json``; ``sha256`` maps each file name to its checksum, in hexadecimal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = FORMAT
    architecture: Architecture
    variant: str
    source: Source
    header_font: FileName | None = Field(
        default=None, description="A font file in the folder; null means Pillow's default font."
    )
    stand_in_font: bool = Field(
        default=False, description="Whether the header's font takes the place of the one the model was trained with."
    )
    max_patches: int | None = Field(default=None, ge=1, description="Default for requests; null if there is none.")
    chat_template: FileName | None = Field(
        default=None, description="The file that holds the chat template; null for models without chat."
    )
    processor: Source | None = Field(default=None, description="Origin of the tokenizer files, if not the source.")
    inputs: str | None = Field(
        default=None, description="Checksum of the inputs that the source does not identify; null if unknown."
    )
    tools: dict[str, str] = Field(description="Package versions used to make the folder.")
    sha256: dict[FileName, str]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_of(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 checksums of the named files in a folder."""
    return {name: file_sha256(folder / name) for name in sorted(names)}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` atomically; call it last, so that a folder with a manifest is complete."""
    partial = folder / f".{MANIFEST_NAME}.partial"
    partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.rename(folder / MANIFEST_NAME)


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest without verifying the files.

    Raises:
        ManifestError: the folder or its manifest is missing, or the manifest does not parse.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        message = f"{folder} is not a folder: name one that contains a model and its {MANIFEST_NAME}"
        raise ManifestError(message)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"{folder} has no {MANIFEST_NAME}: the folder is incomplete or was not prepared for this service"
        raise ManifestError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path} is not a manifest this version can read ({where}: {first['msg']}): recreate the folder"
        raise ManifestError(message) from error


def verify(folder: Path, architecture: Architecture) -> Manifest:
    """Read a folder's manifest, and check the architecture and the checksum of every file.

    Raises:
        ManifestError: the folder is missing, incomplete, modified or of another architecture.
    """
    manifest = read_complete(folder, architecture)
    verify_checksums(folder, manifest)
    return manifest


def read_complete(folder: Path, architecture: Architecture) -> Manifest:
    """Read a folder's manifest, and check the architecture and that no file is missing.

    Raises:
        ManifestError: the folder is missing, incomplete or of another architecture.
    """
    manifest = read_manifest(folder)
    if manifest.architecture != architecture:
        message = f"{folder} is a {manifest.architecture}, this service needs a {architecture}: name another folder"
        raise ManifestError(message)
    for name in manifest.sha256:
        if not (folder / name).is_file():
            message = f"{folder} lacks {name}, which its manifest lists: copy or recreate the folder"
            raise ManifestError(message)
    return manifest


def verify_checksums(folder: Path, manifest: Manifest) -> None:
    """Check the checksum of every file, which takes a second per gigabyte or more.

    Raises:
        ManifestError: a file was modified.
    """
    for name, expected in manifest.sha256.items():
        path = folder / name
        if file_sha256(path) != expected:
            message = f"{path} does not match its checksum in the manifest: modified or partially copied, recreate it"
            raise ManifestError(message)


def require_tensors(folder: Path, missing: Collection[str], misshapen: Collection[str]) -> None:
    """Refuse weights that lack tensors of their model, or have others: transformers fills them with random numbers.

    Raises:
        ManifestError: there are any; the message names the first.
    """
    if missing:
        message = (
            f"the weights in {folder} lack {len(missing)} tensors of the model, such as {min(missing)}: "
            "download or prepare it again"
        )
        raise ManifestError(message)
    if misshapen:
        message = (
            f"the weights in {folder} have {len(misshapen)} tensors of another shape than config.json says, "
            f"such as {min(misshapen)}: download or prepare it again"
        )
        raise ManifestError(message)
