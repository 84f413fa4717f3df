"""Which service serves a model, by the ``model_type`` in its ``config.json``; others are refused by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.common.artifact.manifest import PIX2STRUCT, QWEN2_VL, Architecture, Manifest, ManifestError, Source

CONFIG: Final = "config.json"


class _Family(NamedTuple):
    """An architecture's ``model_type`` in ``config.json``, the service that serves it, and a model of it."""

    model_type: str
    service: str
    example: str


_FAMILIES: Final[dict[Architecture, _Family]] = {
    PIX2STRUCT: _Family("pix2struct", "services.matcha", "google/matcha-chartqa"),
    QWEN2_VL: _Family("qwen2_vl", "services.qwen_vl", "Qwen/Qwen2-VL-2B-Instruct"),
}


def read_config(folder: Path) -> dict[str, Any]:
    """Contents of ``config.json``.

    Raises:
        ManifestError: the file is missing or does not contain a JSON object.
    """
    path = folder / CONFIG
    if not path.is_file():
        message = f"{folder} has no {CONFIG}: name a model folder as saved by transformers"
        raise ManifestError(message)
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        message = f"{path} is not JSON ({error}): download or save the model again"
        raise ManifestError(message) from error
    return config


def require_architecture(config: Mapping[str, Any], name: str, architecture: Architecture) -> None:
    """Refuse the configuration of any other architecture; ``name`` is the model's, for the message.

    Raises:
        ManifestError: it is of another, which the message names, with what is served instead.
    """
    kind, wanted = config.get("model_type"), _FAMILIES[architecture]
    if kind == wanted.model_type:
        return
    served = {family.model_type: family for family in _FAMILIES.values()}
    other = f"; python -m {served[kind].service} serves this one" if kind in served else ""
    what = f"{name} is a {kind} model" if kind else f"{name} has no model_type in its {CONFIG}"
    message = f"{what}: name a {wanted.model_type} one, such as {wanted.example}{other}"
    raise ManifestError(message)


def unverified(folder: Path, architecture: Architecture, variant: str) -> Manifest:
    """A stand-in for the manifest that a folder lacks: no checksums, and the folder's name as its source.

    Raises:
        ManifestError: the folder's model is of another architecture.
    """
    name = folder.resolve().name
    require_architecture(read_config(folder), name, architecture)
    source = Source(id=name, revision="unverified")
    return Manifest(architecture=architecture, variant=variant, source=source, tools={}, sha256={})
