"""The folder of a trained model: what transformers loads, and the manifest that a service checks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from transformers import GenerationConfig

from services.common.manifest import Manifest, Source, sums_of, write_manifest
from services.training.tiny_qwen_vl.answering import Model

_SOURCE: Final = "tallyglass/tiny-qwen2-vl"
_TOOLS: Final = ("pillow", "tokenizers", "torch", "transformers")
_READABLE: Final = 0o644
_MAX_NEW_TOKENS: Final = 8


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside the named one to write to; it takes that one's place once all is written."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def save_model(model: Model, folder: Path) -> None:
    """Write weights, configurations, tokenizer and image processor."""
    model.network.generation_config = GenerationConfig(
        do_sample=False,
        repetition_penalty=1.0,
        max_new_tokens=_MAX_NEW_TOKENS,
        eos_token_id=model.tokenizer.eos_token_id,
        pad_token_id=model.tokenizer.pad_token_id,
    )
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    model.image_processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(_READABLE)  # else its owner's alone, and a container runs as another


def seal(folder: Path, seed: int) -> None:
    """Write the manifest over every file of the folder."""
    manifest = Manifest(
        architecture="Qwen2VLForConditionalGeneration",
        variant="fp32",
        source=Source(id=_SOURCE, revision=f"seed-{seed}"),
        tools={name: version(name) for name in _TOOLS},
        sha256=sums_of(folder, [path.name for path in folder.iterdir() if path.is_file()]),
    )
    write_manifest(folder, manifest)
