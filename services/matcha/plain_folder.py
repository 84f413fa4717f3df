"""Folders without a manifest, served unchanged if allowed: Optimum's ONNX exports, and checkpoints as on the hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.common.artifact.architecture import unverified
from services.common.artifact.manifest import MANIFEST_NAME, PIX2STRUCT, Manifest, ManifestError
from services.matcha.backends.onnx_names import DECODER, DECODER_WITH_PAST, ENCODER

_GRAPHS = (ENCODER, DECODER, DECODER_WITH_PAST)
_NEEDED = ("config.json", "tokenizer.json")


def unverified_manifest(folder: Path) -> Manifest | None:
    """A stand-in manifest from what is known: the folder's name and its image processor's ``max_patches``.

    None if the folder has a manifest, or is neither an ONNX export (``optimum-cli export onnx``) nor a checkpoint.

    Raises:
        ManifestError: the model is of another architecture, or takes no questions.
    """
    form = _form(folder)
    if form is None:
        return None
    manifest = unverified(folder, PIX2STRUCT, form)
    settings = image_processor(folder)
    require_questions(settings, manifest.source.id)
    return manifest.model_copy(update={"max_patches": settings.get("max_patches"), "stand_in_font": True})


def image_processor(folder: Path) -> dict[str, Any]:
    """The image processor's settings; empty if the folder has none.

    transformers 5 saves them within the processor's.
    """
    own, whole = folder / "preprocessor_config.json", folder / "processor_config.json"
    path = own if own.is_file() else whole
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    return settings if path == own else settings.get("image_processor", {})


def require_questions(settings: Mapping[str, Any], name: str) -> None:
    """Refuse a model that was not trained to read a question above the image, such as one that captions.

    Args:
        settings: its image processor's.
        name: its name, for the message.

    Raises:
        ManifestError: it takes no questions.
    """
    if not settings.get("is_vqa", True):
        message = (
            f"{name} takes no questions: its image processor has is_vqa false, as models that caption images do. "
            "Name one that was trained to read a question above the image, such as google/matcha-chartqa; "
            "if this one was, set is_vqa to true in a copy of it"
        )
        raise ManifestError(message)


def _form(folder: Path) -> str | None:
    if (folder / MANIFEST_NAME).exists() or not all((folder / name).is_file() for name in _NEEDED):
        return None
    if all((folder / name).is_file() for name in _GRAPHS):
        return "onnx-fp32"
    return "fp32" if any(folder.glob("*.safetensors")) else None
