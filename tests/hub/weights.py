"""Random weights of a small Qwen2-VL with the real vocabulary, in the files and under the names found on the hub."""

import json
import math
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from tests.hub.vocabulary import special_ids

TEXT: Final = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 32_768,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "vocab_size": 151_936,
}
VISION: Final = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2, "num_heads": 2}
ROPE_THETA: Final = 1_000_000.0
MROPE_SECTION: Final = [4, 6, 6]
ENDS: Final = ("<|im_end|>", "<|endoftext|>")
"""Tokens that an answer may end with."""

_EAGERNESS: Final = 3.0
"""By how much the logits of these spread further than others: among so many tokens they would never come first."""
_GAIN: Final = 2.0
"""By how much a layer's output is larger than its input, so that an answer depends on more than the last token."""
_SPREAD: Final = 0.2
"""Of biases around 0 and of scales around 1: none has the value that it would have if it were not read."""


def random_weights(*, tied: bool, seed: int) -> dict[str, torch.Tensor]:
    """Each parameter in bfloat16 under transformers' present name; a tied head has none of its own."""
    rope = {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": MROPE_SECTION}
    text = TEXT | {"rope_parameters": rope}
    config = Qwen2VLConfig(text_config=text, vision_config=VISION, tie_word_embeddings=tied)
    with torch.device("meta"):  # shapes are all that is wanted of it
        network: Any = Qwen2VLForConditionalGeneration(config)
    draw = torch.Generator().manual_seed(seed)
    weights = {name: _drawn(name, shape.shape, draw).bfloat16() for name, shape in network.named_parameters()}
    head = weights["model.language_model.embed_tokens.weight" if tied else "lm_head.weight"]
    head[[special_ids()[token] for token in ENDS]] *= _EAGERNESS
    return weights


def before_4_52(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights under the names that transformers used before 4.52, which most checkpoints keep."""
    present = {"model.visual.": "visual.", "model.language_model.": "model."}
    renamed = {}
    for name, weight in weights.items():
        start = next((start for start in present if name.startswith(start)), "")
        renamed[present.get(start, "") + name.removeprefix(start)] = weight
    return renamed


def write_weights(weights: dict[str, torch.Tensor], folder: Path, shards: int) -> None:
    """Write ``model.safetensors``, or several files of about as many weights each and an index of them."""
    names = list(weights)
    size = math.ceil(len(names) / shards)
    index: dict[str, str] = {}
    for number in range(shards):
        part = {name: weights[name] for name in names[number * size : (number + 1) * size]}
        file = "model.safetensors" if shards == 1 else f"model-{number + 1:05}-of-{shards:05}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    if shards > 1:
        total = sum(weight.nbytes for weight in weights.values())
        said = {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(said, indent=2))


def _drawn(name: str, shape: torch.Size, draw: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=draw)
    if len(shape) == 1:
        return values * _SPREAD + (1.0 if name.endswith(".weight") else 0.0)
    if "embed_tokens" in name:
        return values
    return values * _GAIN / math.sqrt(shape[1:].numel())
