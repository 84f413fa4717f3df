"""ONNX folders without a manifest, as ``optimum-cli export onnx`` writes them: served unchanged, if allowed."""

import json
from pathlib import Path

from services.common.artifact.manifest import MANIFEST_NAME, PIX2STRUCT, Manifest, Source
from services.matcha.backends.onnx_names import DECODER, DECODER_WITH_PAST, ENCODER

_NEEDED = (ENCODER, DECODER, DECODER_WITH_PAST, "config.json", "tokenizer.json")


def looks_exported(folder: Path) -> bool:
    """Whether a folder contains an exported model and no manifest."""
    return not (folder / MANIFEST_NAME).exists() and all((folder / name).is_file() for name in _NEEDED)


def unverified_manifest(folder: Path) -> Manifest:
    """A stand-in manifest from what is known: the folder's name and its image processor's ``max_patches``."""
    processor = folder / "preprocessor_config.json"
    settings = json.loads(processor.read_text(encoding="utf-8")) if processor.is_file() else {}
    return Manifest(
        architecture=PIX2STRUCT,
        variant="onnx-fp32",
        source=Source(id=folder.resolve().name, revision="unverified"),
        max_patches=settings.get("max_patches"),
        tools={},
        sha256={},
    )
