"""``onnx-int8``: full int8 for the work done once per image, int8 weights for the work done per token.

The encoder and the cross-attention's keys and values are large products: weights are int8 per output channel and
activations int8 per tensor (``MatMulInteger``). Attention is computed in int8 between the encoder's pieces
(``encoder_pieces``), or in fp32 by ONNX Runtime's tiled kernel, which never materializes the full score matrix. A
decoding step reads every weight for one row: weights are 8-bit in blocks (``MatMulNBits``) and activations quantized
per row, so that an answer does not depend on the rest of its batch. Measurements: docs/measurements.md.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from services.matcha.backends.onnx_names import CROSS_ATTENTION, DECODER_WITH_PAST, ENCODER
from services.matcha.patches import Floats
from services.matcha.prepare.encoder_pieces import prune, split

_BLOCK = 128
_INT8_ACCUMULATION = 4
"""``accuracy_level`` of MatMulNBits: activations in int8."""


def quantize(source: Path, target: Path, _images: Sequence[Floats]) -> None:
    """Write the graphs of an ``onnx-fp32`` folder in int8. No images are needed, and no first-step graph is written."""
    encoder = onnx.load(str(source / ENCODER))
    fuse_attention(encoder)
    plain = target / "encoder.fp32.onnx"
    _save(encoder, plain)
    del encoder
    _whole_int8(plain, target / ENCODER)
    for leftover in (plain, _data(plain)):
        leftover.unlink()
    split(target / ENCODER)
    _whole_int8(source / CROSS_ATTENTION, target / CROSS_ATTENTION)
    _int8_weights(source / DECODER_WITH_PAST, target / DECODER_WITH_PAST)


def fuse_attention(model: onnx.ModelProto) -> None:
    """Replace each ``Attention`` of an encoder, with its transposes, by an unmasked ``MultiHeadAttention``.

    ONNX Runtime's kernel for it is tiled only without a mask. Images are encoded one by one, so there is nothing to
    mask, and the graph loses that input.

    Raises:
        ValueError: the graph was not written by ``export``.
    """
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    used_by = {name: node for node in graph.node for name in node.input}
    for index, node in enumerate(graph.node):
        if node.op_type != "Attention":
            continue
        scale = next((attribute.f for attribute in node.attribute if attribute.name == "scale"), 1.0)
        projections = [_before(made_by, name, ("Transpose", "Reshape")) for name in node.input[:3]]
        merged = used_by[used_by[node.output[0]].output[0]]
        if merged.op_type != "Reshape":
            message = f"{node.name} is followed by {merged.op_type}, expected Reshape"
            raise ValueError(message)
        heads = _heads(graph, made_by, node.input[0])
        fused = helper.make_node(
            "MultiHeadAttention", projections, list(merged.output), node.name, "", "com.microsoft",
            num_heads=heads, scale=scale,
        )  # fmt: skip
        merged.output[0] += ".unused"
        graph.node[index].CopyFrom(fused)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    prune(graph)


def _before(made_by: dict[str, onnx.NodeProto], name: str, operators: tuple[str, ...]) -> str:
    """The input of a chain of nodes, found by walking back from its output."""
    for operator in operators:
        node = made_by[name]
        if node.op_type != operator:
            message = f"{name} is computed by {node.op_type}, expected {operator}"
            raise ValueError(message)
        name = node.input[0]
    return name


def _heads(graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto], name: str) -> int:
    """Number of heads, from the head width, the last dimension of the query after the split into heads."""
    hidden = graph.output[0].type.tensor_type.shape.dim[2].dim_value
    values = {value.name: value for value in graph.value_info}
    width = values[name].type.tensor_type.shape.dim[3].dim_value if name in values else 0
    if not width:
        message = f"the width of {name} is unknown ({made_by[name].op_type})"
        raise ValueError(message)
    return int(hidden // width)


def _whole_int8(source: Path, target: Path) -> None:
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
    )


def _int8_weights(source: Path, target: Path) -> None:
    quantizer = MatMulNBitsQuantizer(
        onnx.load(str(source)), bits=8, block_size=_BLOCK, is_symmetric=True, accuracy_level=_INT8_ACCUMULATION
    )
    quantizer.process()
    _save(quantizer.model.model, target)


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(model, str(path), save_as_external_data=True, location=_data(path).name)


def _data(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")
