"""Small random MatCha checkpoints, laid out as they are found on the hub: in all but their size like real ones."""

import json
import math
from dataclasses import dataclass
from functools import cache
from itertools import islice, product
from pathlib import Path
from typing import Any, Final, Literal

import torch
from transformers import Pix2StructConfig, Pix2StructForConditionalGeneration, T5Tokenizer

from tests.hub.matcha.settings import (
    SPECIAL_TOKENS,
    VOCABULARY,
    ConfigForm,
    config,
    generation_config,
    preprocessor_config,
    tokenizer_config,
)
from tests.hub.weights import write_weights

BASE: Final = "google/matcha-base"
ENDS: Final = (1, 2)
"""Tokens that an answer may end with, in one layout or another."""
_EAGERNESS: Final = 3.0
_GAIN: Final = 2.0
_SPREAD: Final = 0.2
"""As for Qwen2-VL's random weights: an answer depends on every weight, and may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a checkpoint is laid out; by default, as Google published MatCha.

    Attributes:
        repository: its owner and name.
        config: the form of ``config.json``.
        shards: number of safetensors files; 0 for ``pytorch_model.bin``.
        processor: the file with the image processor's settings; None if tokenizer files are missing too.
        is_vqa: whether the question is drawn above the image.
        generation: whether there is a ``generation_config.json``, and whether it samples.
    """

    repository: str
    config: ConfigForm = "published"
    shards: int = 0
    processor: Literal["preprocessor_config.json", "processor_config.json"] | None = "preprocessor_config.json"
    is_vqa: bool = True
    generation: Literal["samples", "derived"] | None = None


LAYOUTS: Final = (
    Layout(repository=BASE),
    Layout(repository="google/matcha-plotqa-v2", processor=None),
    Layout(repository="google/deplot", shards=1),
    Layout(repository="someone/tuned-4.57", config="difference", shards=1, generation="derived"),
    Layout(repository="someone/tuned-to-sample", config="difference", shards=1, processor=None, generation="samples"),
    Layout(repository="someone/saved-5", config="whole", shards=2, processor="processor_config.json"),
)
"""Every value of every switch but ``is_vqa``."""
CAPTIONS: Final = Layout(repository="google/pix2struct-textcaps-base", is_vqa=False)


def write(layout: Layout, folder: Path) -> None:
    """Write a checkpoint into a folder, which is made if need be. The weights are the same in all layouts."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, object] = {"config.json": config(layout.config)}
    if layout.generation:
        files["generation_config.json"] = generation_config(samples=layout.generation == "samples")
    if layout.processor:
        settings = preprocessor_config(is_vqa=layout.is_vqa)
        whole = {"image_processor": settings, "processor_class": settings["processor_class"]}
        files |= {
            layout.processor: settings if layout.processor == "preprocessor_config.json" else whole,
            "special_tokens_map.json": SPECIAL_TOKENS,
            "tokenizer_config.json": tokenizer_config(),
        }
        (folder / "tokenizer.json").write_text(tokenizer_json())
        (folder / "spiece.model").write_bytes(b"nobody should need this")
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    if layout.shards:
        write_weights(random_weights(), folder, layout.shards)
    else:
        torch.save(random_weights(), folder / "pytorch_model.bin")


@cache
def random_weights() -> dict[str, torch.Tensor]:
    """Each parameter in float32 under its name, which no version of transformers changed."""
    with torch.device("meta"):  # shapes are all that is wanted of it
        network: Any = Pix2StructForConditionalGeneration(Pix2StructConfig(**config("whole")))
    draw = torch.Generator().manual_seed(0)
    weights = {name: _drawn(name, each.shape, draw) for name, each in network.named_parameters()}
    weights["decoder.lm_head.weight"][list(ENDS)] *= _EAGERNESS
    return weights


@cache
def tokenizer_json() -> str:
    """``tokenizer.json`` of a T5 tokenizer: special tokens, bytes, with which DePlot breaks lines, made-up pieces."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(f"<0x{byte:02X}>" for byte in range(256)), *"|.,%0123456789"]
    letters = "aeioubcdfghklmnprstvz"
    words = ("".join(word) for size in (1, 2, 3, 4) for word in product(letters, repeat=size))
    for word in islice(words, (VOCABULARY - len(pieces) + 1) // 2):
        pieces += [word, f"▁{word}"]
    scored = [(piece, -math.log(index + 1)) for index, piece in enumerate(pieces[:VOCABULARY])]
    written: str = T5Tokenizer(scored, extra_ids=0).backend_tokenizer.to_str()
    return written


def _drawn(name: str, shape: torch.Size, draw: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=draw)
    if len(shape) == 1:
        return values * _SPREAD + 1.0
    if "embed" in name or "relative_attention_bias" in name:
        return values
    return values * _GAIN / math.sqrt(shape[1:].numel())
