"""File and tensor names of MatCha's ONNX graphs: Optimum's, and some of our own.

Shared by the exporter and the backends. Depends on neither torch nor a runtime.
"""

from typing import Final

ONNX: Final = ".onnx"
OPENVINO: Final = ".xml"
"""File extensions of a graph: as in the names below, or in OpenVINO's own format."""

ENCODER: Final = "encoder_model.onnx"
DECODER: Final = "decoder_model.onnx"
"""The first step from the encoder's states, used only if there is no ``CROSS_ATTENTION``."""
DECODER_WITH_PAST: Final = "decoder_with_past_model.onnx"
CROSS_ATTENTION: Final = "cross_attention_model.onnx"
"""Ours: the decoder's cross-attention keys and values from the encoder's states."""

PATCHES: Final = "flattened_patches"
MASK: Final = "attention_mask"
STATES: Final = "last_hidden_state"
"""The encoder's inputs and output."""

ENCODER_PIECES: Final = "encoder_piece_*.onnx"
"""Ours: the parts of the encoder between its attentions, which share the weights of ``ENCODER``."""


def encoder_piece(index: int) -> str:
    """File name of one of the ``ENCODER_PIECES``.

    Piece 0 takes the patches; each later one takes the residual and the attention output, in that order. The last piece
    returns the encoder's states, the others query, key, value and residual, all (1, P, hidden).
    """
    return ENCODER_PIECES.replace("*", f"{index:02}")


def past_names(prefix: str, layers: int, *attentions: str) -> list[str]:
    """Names of the keys and values of the given attentions (``decoder``, ``encoder``), layer by layer in that order."""
    return [
        f"{prefix}.{layer}.{attention}.{kind}"
        for layer in range(layers)
        for attention in attentions
        for kind in ("key", "value")
    ]
