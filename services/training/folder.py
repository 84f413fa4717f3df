"""The manifest of a model that was trained here."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

from services.common.artifact.manifest import Architecture, Manifest, Source
from services.common.artifact.writer import seal

_TOOLS: Final = ("pillow", "tokenizers", "torch", "transformers")


def seal_trained(folder: Path, architecture: Architecture, source: Source, max_patches: int | None = None) -> None:
    """Seal a folder of trained weights, in fp32."""
    manifest = Manifest(
        architecture=architecture,
        variant="fp32",
        source=source,
        max_patches=max_patches,
        tools={name: version(name) for name in _TOOLS},
        sha256={},
    )
    seal(folder, manifest)
