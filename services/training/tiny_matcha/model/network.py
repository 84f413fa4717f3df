"""The network: a small Pix2Struct of transformers, with initial weights of its own.

With the class's own initialization (vision embeddings of deviation 1e-10, for example) a model of this size does not
learn to use the image within an hour. Here every matrix has deviation ``fan_in ** -0.5``, so that activations keep
their scale, and the patch projection is smaller, so that pixels do not drown out positions.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Pix2StructConfig, Pix2StructForConditionalGeneration

from services.matcha.patches import ROW_LENGTH
from services.training.tiny_matcha.model.tokenizer import EOS, PAD

MAX_PATCHES = 90
GRID = (8, 10)
"""Rows and columns of the patches of every chart and question here, given ``MAX_PATCHES``."""
MAX_POSITION = 512
"""Number of row and of column embeddings; an image may have at most ``MAX_POSITION - 1`` patches."""
PATCH_SCALE = 0.3
PATCH_VALUES = ROW_LENGTH - 2


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """Sizes of the network; the heads divide ``hidden`` evenly."""

    hidden: int = 128
    feed_forward: int = 384
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 3

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.hidden // self.heads


def build_config(shape: NetworkShape, ids: dict[str, int]) -> Pix2StructConfig:
    """The configuration for a vocabulary, given as a mapping from tokens to ids."""
    common: dict[str, Any] = {
        "hidden_size": shape.hidden,
        "d_ff": shape.feed_forward,
        "d_kv": shape.head_width,
        "dropout_rate": 0.0,
        "dense_act_fn": "relu",
    }
    text = {
        "vocab_size": len(ids),
        "num_layers": shape.decoder_layers,
        "num_heads": shape.heads,
        "pad_token_id": ids[PAD],
        "eos_token_id": ids[EOS],
        "decoder_start_token_id": ids[PAD],
        "use_cache": True,
    }
    vision = {
        "num_hidden_layers": shape.encoder_layers,
        "num_attention_heads": shape.heads,
        "seq_len": MAX_POSITION,
        "patch_embed_hidden_size": PATCH_VALUES,
    }
    return Pix2StructConfig(text_config=common | text, vision_config=common | vision, is_vqa=True)


def build_network(shape: NetworkShape, ids: dict[str, int]) -> Pix2StructForConditionalGeneration:
    """A network with initial weights from torch's global generator, in fp32, with eager attention.

    At this size eager attention trains twice as fast on a CPU as fused attention.
    """
    network = Pix2StructForConditionalGeneration._from_config(  # noqa: SLF001  (the public way needs a saved folder)
        build_config(shape, ids), attn_implementation="eager"
    )
    initialize(network)
    return network


@torch.no_grad()
def initialize(network: Pix2StructForConditionalGeneration) -> None:
    """Overwrite every weight with its initial value."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            module.weight.normal_(std=module.in_features**-0.5)
            if name.endswith(".query"):  # Pix2Struct does not divide scores by the root of the head's width
                module.weight.mul_(network.config.vision_config.d_kv**-0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_()
    network.encoder.embeddings.patch_projection.weight.mul_(PATCH_SCALE)
    for layer in network.decoder.layer:
        attention = layer.self_attention.attention
        if attention.has_relative_attention_bias:
            attention.relative_attention_bias.weight.mul_(0.1)
