"""Take an encoder apart at its attentions, to be computed outside ONNX Runtime (``services.matcha.attention``)."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from services.matcha.backends.onnx_names import encoder_piece


def split(encoder: Path) -> None:
    """Write the pieces of an encoder with ``MultiHeadAttention`` nodes beside it; the weights stay in its file.

    Raises:
        ValueError: its attentions are scaled, or more than one tensor passes one by.
    """
    model = onnx.load(str(encoder), load_external_data=False)
    graph = model.graph
    attentions = [node for node in graph.node if node.op_type == "MultiHeadAttention"]
    if any(attribute.name == "scale" and attribute.f != 1.0 for node in attentions for attribute in node.attribute):
        message = f"{encoder} scales its attentions, which the pieces would lose"
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
    """Drop nodes, weights and inputs that the outputs do not need; what an input gives is not computed."""
    given = {each.name for each in graph.input}
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # in topological order, so from the outputs back
        if (wanted - given).intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    for field in (graph.initializer, graph.input):
        used = [each for each in field if each.name in wanted]
        del field[:]
        field.extend(used)


def _passing_by(graph: onnx.GraphProto, attention: onnx.NodeProto) -> str:
    """The one tensor that is computed before an attention and used after it: the residual."""
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
        message = f"{sorted(after)} pass {attention.name} by, instead of one residual"
        raise ValueError(message)
    return after.pop()


def _state(name: str, hidden: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "patches", hidden])
