"""Checkpoint folders as on the hub, without a manifest, served unchanged if allowed."""

from pathlib import Path

from services.common.artifact.architecture import read_config, unverified
from services.common.artifact.manifest import MANIFEST_NAME, QWEN2_VL, Manifest


def unverified_manifest(folder: Path) -> Manifest | None:
    """A stand-in manifest from the folder's name and its weights' type; None if it has one or is no checkpoint.

    Raises:
        ManifestError: the model is of another architecture.
    """
    if (folder / MANIFEST_NAME).exists() or not any(folder.glob("*.safetensors")):
        return None
    config = read_config(folder)
    dtype = config.get("dtype") or config.get("torch_dtype")  # transformers 5, and before
    return unverified(folder, QWEN2_VL, "fp32" if dtype == "float32" else "bf16")
