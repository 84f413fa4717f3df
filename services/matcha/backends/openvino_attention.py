"""An encoder's attentions, computed in int8 outside OpenVINO: an operator of our own in its graph."""

from collections.abc import Sequence
from typing import Final, Self

import openvino as ov
import openvino.opset13 as opset

from services.matcha.attention import Int8Attention

_BEFORE: Final = frozenset({"FakeQuantize", "Transpose", "Reshape"})
_AFTER: Final = frozenset({"Select", "Transpose", "Reshape"})
"""Between an attention and the layers around it: heads taken apart, quantized, put together."""


class AttentionOp(ov.Op):  # type: ignore[misc] # OpenVINO has no types
    """Query, key and value (1, P, hidden) to what was attended, of the same shape."""

    def __init__(self, attention: Int8Attention, inputs: Sequence[ov.Output]) -> None:
        super().__init__(self)
        self._attention = attention
        self.set_arguments(list(inputs))
        self.constructor_validate_and_infer_types()

    def validate_and_infer_types(self) -> None:
        """The output is like the query."""
        self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

    def clone_with_new_inputs(self, inputs: Sequence[ov.Output]) -> Self:
        """What OpenVINO copies a graph by."""
        return type(self)(self._attention, inputs)

    def get_type_info(self) -> ov.DiscreteTypeInfo:
        """The operator's name."""
        return ov.DiscreteTypeInfo("Int8Attention", "tallyglass")

    def has_evaluate(self) -> bool:
        """It computes itself."""
        return True

    def evaluate(self, outputs: Sequence[ov.Tensor], inputs: Sequence[ov.Tensor]) -> bool:
        """Compute."""
        query, key, value = (each.data for each in inputs)
        self._attention(query, key, value, outputs[0].data)
        return True


def attend_in_int8(encoder: ov.Model, attention: Int8Attention) -> None:
    """Replace each ``ScaledDotProductAttention`` of an encoder, and all between it and the linear layers around it.

    Its scale is taken for 1, as it is in every Pix2Struct.
    """
    for node in encoder.get_ordered_ops():
        if node.get_type_name() != "ScaledDotProductAttention":
            continue
        query, key, value = (_source(node.input_value(index)) for index in range(3))
        merged, smoothing = _merged(node), None
        readers = [each.get_node() for each in merged.output(0).get_target_inputs()]
        if len(readers) == 1 and readers[0].get_type_name() == "Multiply":
            merged, smoothing = readers[0], readers[0].input_value(1)
        if smoothing:  # by channel, so it may as well be done to the values, in the layer that makes them
            value = opset.multiply(value, smoothing).output(0)
        ours = AttentionOp(attention, [query, key, value])
        for reader in merged.output(0).get_target_inputs():
            reader.replace_source_output(ours.output(0))
    encoder.validate_nodes_and_infer_types()


def _source(value: ov.Output) -> ov.Output:
    """What a linear layer gave, before its heads were taken apart."""
    while value.get_node().get_type_name() in _BEFORE:
        value = value.get_node().input_value(0)
    return value


def _merged(node: ov.Node) -> ov.Node:
    """The reshaping that puts the heads together again."""
    while node.get_type_name() != "Reshape":
        readers = [each.get_node() for each in node.output(0).get_target_inputs()]
        node = next(each for each in readers if each.get_type_name() in _AFTER)
    return node
