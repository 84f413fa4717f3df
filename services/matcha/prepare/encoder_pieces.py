"""Split an encoder at its attentions, which are computed outside ONNX Runtime (``services.matcha.attention``)."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from services.matcha.backends.onnx_names import encoder_piece


def split(encoder: Path) -> None:
    """Write the pieces of an encoder with ``MultiHeadAttention`` nodes next to it; the weights stay in its file.

    Raises:
        ValueError: an attention is scaled, or is bypassed by more than the residual.
    """
    model = onnx.load(str(encoder), load_external_data=False)
    graph = model.graph
    attentions = [node for node in graph.node if node.op_type == "MultiHeadAttention"]
    if any(attribute.name == "scale" and attribute.f != 1.0 for node in attentions for attribute in node.attribute):
        message = f"{encoder} scales its attentions, which the pieces do not support"
        raise ValueError(message)
    residuals = [_passing_by(graph, node) for node in attentions]
    hidden = graph.output[0].type.tensor_type.shape.dim[2].dim_value
    begins = [[graph.input[0]]]
    ends = []
    for node, residual in zip(attentions, residuals, strict=True):
        begins.append([_state(residual, hidden), _state(node.output[0], hidden)])
        ends.append([_state(name, hidden) for name in (*node.input[:3], residual)])
    ends.append(list(graph.output))
    for index, (inputs, outputs) in enumerate(zip(begins, ends, strict=True)):
        piece = onnx.ModelProto()
        piece.CopyFrom(model)
        for field, values in ((piece.graph.input, inputs), (piece.graph.output, outputs)):
            del field[:]
            field.extend(values)
        prune(piece.graph)
        (encoder.parent / encoder_piece(index)).write_bytes(piece.SerializeToString())


def prune(graph: onnx.GraphProto) -> None:
    """Drop nodes, weights and inputs that the outputs do not need; inputs are not recomputed."""
    inputs = {value.name for value in graph.input}
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # topological order, reversed: from the outputs back
        if (wanted - inputs).intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    for field in (graph.initializer, graph.input):
        used = [value for value in field if value.name in wanted]
        del field[:]
        field.extend(used)


def _passing_by(graph: onnx.GraphProto, attention: onnx.NodeProto) -> str:
    """The one tensor that is computed before an attention and used after it, bypassing it: the residual."""
    wanted, before = set(attention.input), set[str]()
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            before.update(node.output)
    after = {
        name
        for node in graph.node
        if before.isdisjoint(node.output) and node.name != attention.name
        for name in before.intersection(node.input)
    }
    if len(after) != 1:
        message = f"{sorted(after)} bypass {attention.name}, expected one residual"
        raise ValueError(message)
    return after.pop()


def _state(name: str, hidden: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "patches", hidden])
