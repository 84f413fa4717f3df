"""The folder of a trained model: what transformers loads, and the manifest that services check."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from transformers import GenerationConfig

from services.common.artifact.manifest import Architecture, Manifest, Source
from services.common.artifact.writer import seal

_TOOLS: Final = ("pillow", "tokenizers", "torch", "transformers")


def save_pretrained(network: Any, tokenizer: Any, folder: Path, **generation: float) -> None:
    """Write weights, configurations and tokenizer; the model answers greedily unless asked otherwise.

    Args:
        network: a model of transformers, which has no type hints that mypy reads.
        tokenizer: its tokenizer, in transformers' form; it names the tokens that pad and end an answer.
        folder: where to write.
        generation: further settings of transformers' ``GenerationConfig``.
    """
    network.generation_config = GenerationConfig(
        do_sample=False, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, **generation
    )
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def seal_trained(folder: Path, architecture: Architecture, source: Source, max_patches: int | None = None) -> None:
    """Add the manifest to a folder of trained weights, which are in fp32."""
    manifest = Manifest(
        architecture=architecture,
        variant="fp32",
        source=source,
        max_patches=max_patches,
        tools={name: version(name) for name in _TOOLS},
        sha256={},
    )
    seal(folder, manifest)
