"""Build an artifact folder from a checkpoint: its files linked, its weights as they are or in another form."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Final

from services.common.artifact.architecture import CONFIG
from services.common.artifact.build import is_stored_as, link_all, staged, versions
from services.common.artifact.command import Report
from services.common.artifact.manifest import MANIFEST_NAME, QWEN2_VL, Manifest, PrepareError, file_sha256
from services.common.artifact.source import WEIGHTS_INDEX, Checkpoint
from services.common.artifact.writer import seal
from services.qwen_vl.model.chat_template import chat_template
from services.qwen_vl.settings import Variant

WANTED: Final = ("*.json", "*.safetensors", "*.jinja", "merges.txt")
"""Files of a repository to download."""

STEPS: Final = 3
"""How many steps ``build`` reports."""

_WEIGHTS_CONFIGS: Final = (CONFIG, "generation_config.json")
_TEXT_FILES: Final = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)
_TOOLS: Final = ("bitsandbytes", "pillow", "safetensors", "tokenizers", "torch", "transformers")
_GROWTH: Final[dict[Variant, float]] = {"fp32": 2.0, "bf16": 1.0, "int8": 0.75, "nf4": 0.6}
"""Size of written weights, at most, relative to 16-bit ones; the head and the vision tower stay in 16 bits."""


def inputs_sum(checkpoint: Checkpoint) -> str:
    """A checksum of what affects answers besides the weights, which the source identifies."""
    files = [checkpoint.folder / name for name in (MANIFEST_NAME, *_WEIGHTS_CONFIGS, *_TEXT_FILES)]
    sums = [file_sha256(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


def build(checkpoint: Checkpoint, variant: Variant, out: Path, report: Report) -> None:
    """Write the artifact folder; ``report`` is called at the start of each step.

    Files that stay as they are become hard links where source and artifact share a file system.

    Raises:
        PrepareError: not enough disk space, or the checkpoint lacks a chat template.
    """
    template = chat_template(checkpoint.folder)
    if template is None:
        message = f"{checkpoint.source.id} has no chat template: add chat_template.jinja to a copy of it, and name that"
        raise PrepareError(message)
    kept = is_stored_as(checkpoint, variant)
    needed = 0 if kept else int(checkpoint.weights_bytes * _GROWTH[variant])
    with staged(out, needed) as folder:
        report("tokenizer and chat template")
        link_all(checkpoint.folder, folder, _TEXT_FILES)
        report("linking the weights" if kept else f"converting the weights to {variant}")
        if kept:
            link_all(checkpoint.folder, folder, (*_WEIGHTS_CONFIGS, WEIGHTS_INDEX))
            link_all(checkpoint.folder, folder, [path.name for path in checkpoint.weights])
        else:
            _convert(checkpoint.folder, variant, folder)
        report("manifest")
        manifest = Manifest(
            architecture=QWEN2_VL,
            variant=variant,
            source=checkpoint.source,
            chat_template=template.file,
            inputs=inputs_sum(checkpoint),
            tools=versions(_TOOLS),
            sha256={},
        )
        seal(folder, manifest)


def _convert(source: Path, variant: Variant, folder: Path) -> None:
    from transformers.utils.logging import set_verbosity_error  # noqa: PLC0415 torch, which linking does not need

    from services.qwen_vl.model.network import read_weights  # noqa: PLC0415 as above

    set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns about a cast in every product
    read_weights(source, variant, "cpu").save_pretrained(folder)
