"""The files and tensor names of MatCha as ONNX: Optimum's, and one file of our own.

What exports them and what runs them agree here. Knows neither torch nor a runtime.
"""

from typing import Final

ONNX: Final = ".onnx"
OPENVINO: Final = ".xml"
"""Endings of a graph's file: the names below, or the same in OpenVINO's own format."""

ENCODER: Final = "encoder_model.onnx"
DECODER: Final = "decoder_model.onnx"
"""The first step from the encoder's states: run only where there is no ``CROSS_ATTENTION``."""
DECODER_WITH_PAST: Final = "decoder_with_past_model.onnx"
CROSS_ATTENTION: Final = "cross_attention_model.onnx"
"""Ours: the encoder's states to the decoder's keys and values of them."""

PATCHES: Final = "flattened_patches"
MASK: Final = "attention_mask"
STATES: Final = "last_hidden_state"
"""The encoder's inputs and its output."""

ENCODER_PIECES: Final = "encoder_piece_*.onnx"
"""Ours: the stretches of the encoder between its attentions, beside ``ENCODER`` and on its weights."""


def encoder_piece(index: int) -> str:
    """One of the ``ENCODER_PIECES``.

    Piece 0 takes the patches, each later one the residual and what was attended, in that order. The last gives the
    encoder's states, each before it query, key, value and residual, all (1, P, hidden).
    """
    return ENCODER_PIECES.replace("*", f"{index:02}")


def past_names(prefix: str, layers: int, *attentions: str) -> list[str]:
    """Names of keys and values, layer by layer, of the attentions named (``decoder``, ``encoder``), in that order."""
    return [
        f"{prefix}.{layer}.{attention}.{kind}"
        for layer in range(layers)
        for attention in attentions
        for kind in ("key", "value")
    ]
