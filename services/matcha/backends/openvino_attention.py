"""Int8 attention for the encoder in OpenVINO, as a custom operator in its graph."""

from collections.abc import Sequence
from typing import Final, Self

import openvino as ov
import openvino.opset13 as opset

from services.matcha.attention import Int8Attention

_BEFORE: Final = frozenset({"FakeQuantize", "Transpose", "Reshape"})
_AFTER: Final = frozenset({"Select", "Transpose", "Reshape"})
"""Operators between an attention and the linear layers around it, which split, quantize and merge heads."""


class AttentionOp(ov.Op):  # type: ignore[misc] # OpenVINO has no types
    """Attention from query, key and value (1, P, hidden) to an output of the same shape."""

    def __init__(self, attention: Int8Attention, inputs: Sequence[ov.Output]) -> None:
        super().__init__(self)
        self._attention = attention
        self.set_arguments(list(inputs))
        self.constructor_validate_and_infer_types()

    def validate_and_infer_types(self) -> None:
        """Set the output's type and shape to those of the query."""
        self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

    def clone_with_new_inputs(self, inputs: Sequence[ov.Output]) -> Self:
        """Clone the operator when OpenVINO copies a graph."""
        return type(self)(self._attention, inputs)

    def get_type_info(self) -> ov.DiscreteTypeInfo:
        """The operator's name and namespace."""
        return ov.DiscreteTypeInfo("Int8Attention", "tallyglass")

    def has_evaluate(self) -> bool:
        """True: the operator has a Python implementation."""
        return True

    def evaluate(self, outputs: Sequence[ov.Tensor], inputs: Sequence[ov.Tensor]) -> bool:
        """Compute the attention."""
        query, key, value = (tensor.data for tensor in inputs)
        self._attention(query, key, value, outputs[0].data)
        return True


def attend_in_int8(encoder: ov.Model, attention: Int8Attention) -> None:
    """Replace each ``ScaledDotProductAttention`` of an encoder, and everything up to the linear layers around it.

    Assumes a scale of 1, as in every Pix2Struct.
    """
    for node in encoder.get_ordered_ops():
        if node.get_type_name() != "ScaledDotProductAttention":
            continue
        query, key, value = (_source(node.input_value(index)) for index in range(3))
        merged, smoothing = _merged(node), None
        readers = [each.get_node() for each in merged.output(0).get_target_inputs()]
        if len(readers) == 1 and readers[0].get_type_name() == "Multiply":
            merged, smoothing = readers[0], readers[0].input_value(1)
        if smoothing:  # per channel, so it can be applied to the values instead and fused into their linear layer
            value = opset.multiply(value, smoothing).output(0)
        ours = AttentionOp(attention, [query, key, value])
        for reader in merged.output(0).get_target_inputs():
            reader.replace_source_output(ours.output(0))
    encoder.validate_nodes_and_infer_types()


def _source(value: ov.Output) -> ov.Output:
    """A linear layer's output, before it was split into heads."""
    while value.get_node().get_type_name() in _BEFORE:
        value = value.get_node().input_value(0)
    return value


def _merged(node: ov.Node) -> ov.Node:
    """The ``Reshape`` that merges the heads."""
    while node.get_type_name() != "Reshape":
        readers = [each.get_node() for each in node.output(0).get_target_inputs()]
        node = next(each for each in readers if each.get_type_name() in _AFTER)
    return node
