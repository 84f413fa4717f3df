"""Folders without a manifest, served unchanged if allowed: Optimum's ONNX exports, and checkpoints as on the hub."""

import json
from pathlib import Path
from typing import Any

from services.common.artifact.manifest import MANIFEST_NAME, PIX2STRUCT, Manifest, unverified
from services.matcha.backends.onnx_names import DECODER, DECODER_WITH_PAST, ENCODER

_GRAPHS = (ENCODER, DECODER, DECODER_WITH_PAST)
_NEEDED = ("config.json", "tokenizer.json")


def unverified_manifest(folder: Path) -> Manifest | None:
    """A stand-in manifest from what is known: the folder's name and its image processor's ``max_patches``.

    None if the folder has a manifest, or is neither an ONNX export (``optimum-cli export onnx``) nor a checkpoint.
    """
    form = _form(folder)
    if form is None:
        return None
    known = {"max_patches": image_processor(folder).get("max_patches"), "stand_in_font": True}
    return unverified(folder, PIX2STRUCT, form).model_copy(update=known)


def image_processor(folder: Path) -> dict[str, Any]:
    """The image processor's settings; empty if the folder has none.

    transformers 5 saves them within the processor's.
    """
    own, whole = folder / "preprocessor_config.json", folder / "processor_config.json"
    path = own if own.is_file() else whole
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    return settings if path == own else settings.get("image_processor", {})


def _form(folder: Path) -> str | None:
    if (folder / MANIFEST_NAME).exists() or not all((folder / name).is_file() for name in _NEEDED):
        return None
    if all((folder / name).is_file() for name in _GRAPHS):
        return "onnx-fp32"
    return "fp32" if any(folder.glob("*.safetensors")) else None
