"""MatCha in OpenVINO on the CPU: the graphs of ``onnx-fp32`` or int8 ones, in bf16 if the CPU supports it."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import openvino as ov
import openvino.opset13 as opset
from numpy.typing import NDArray

from services.common.artifact.manifest import ManifestError
from services.common.artifact.reading import readable
from services.matcha.attention import Int8Attention
from services.matcha.backends import Hardware
from services.matcha.backends.decoding import Arrays, Graph, GraphModel
from services.matcha.backends.model_shape import ModelShape
from services.matcha.backends.onnx_names import ENCODER, ONNX, OPENVINO, PATCHES
from services.matcha.backends.openvino_attention import attend_in_int8

Precision = Literal["bf16", "f32"]
_KEPT = ("present.", "past_key_values.")
"""Prefixes of keys and values, which one step outputs and the next takes as input."""


class OpenVinoGraph:
    """One graph, compiled for latency."""

    def __init__(self, core: ov.Core, model: ov.Model, threads: int, precision: Precision) -> None:
        self.fixed_patches = _bound(model)
        compiled = core.compile_model(
            _keeping_bf16(model) if precision == "bf16" else model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # replicas would be pinned to the same cores
            },
        )
        self._request = compiled.create_infer_request()
        self._inputs = {each.get_any_name(): each for each in compiled.inputs}
        self._outputs = [each.get_any_name() for each in compiled.outputs]

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``; bf16 is passed as float16 arrays with the same bits, because NumPy has no bf16."""
        feeds = {name: self._fed(name, array) for name, array in inputs.items() if name in self._inputs}
        outputs = self._request.infer(feeds, share_inputs=True, share_outputs=False)
        return dict(zip(self._outputs, outputs.to_tuple(), strict=True))

    def _fed(self, name: str, array: NDArray[Any]) -> NDArray[Any] | ov.Tensor:
        if self._inputs[name].get_element_type() != ov.Type.bf16:
            return array
        bits = array if array.size else array.astype(np.float16)  # an empty past has no bits to keep
        return ov.Tensor(bits, ov.Shape(bits.shape), ov.Type.bf16)


def load(folder: Path, hardware: Hardware, _variant: str) -> GraphModel:
    """Load an ``onnx-fp32`` or ``openvino-int8`` artifact folder."""
    core = ov.Core()
    precision: Precision = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"

    own_format = (folder / ENCODER).with_suffix(OPENVINO).is_file()
    shape = ModelShape.read(folder)

    def graph(path: Path) -> Graph:
        model = read(core, path)
        if own_format and PATCHES in _names(model):
            attention = Int8Attention.find(shape.encoder_heads, shape.encoder_head_width, hardware.threads)
            if attention:
                attend_in_int8(model, attention)
        return OpenVinoGraph(core, model, hardware.threads, precision)

    return GraphModel(folder, graph, OPENVINO if own_format else ONNX)


def read(core: ov.Core, path: Path) -> ov.Model:
    """Read a graph; an encoder for any number of patches loses its mask.

    Images are encoded one by one without padding, so there is nothing to mask, and unmasked attention is faster.

    Raises:
        ManifestError: the file cannot be read, or is a link to one of another name, as in the hub's cache.
    """
    with readable(path.name, path.parent):
        model = core.read_model(_followed(path))
    if PATCHES in _names(model) and not _bound(model):
        _unmask(model)
    return model


def _followed(path: Path) -> Path:
    """The file a link leads to: OpenVINO reads weights from the folder of the graph alone, and not through links."""
    file = path.resolve()
    if file.name != path.name:
        message = f"{path} is a link to {file}, beside which OpenVINO finds no weights: copy the folder with cp -rL"
        raise ManifestError(message)
    return file


def _unmask(encoder: ov.Model) -> None:
    none = opset.constant(0, np.float32)  # a scalar 0 means no mask (operator ScaledDotProductAttention-13)
    for node in encoder.get_ordered_ops():
        if node.get_type_name() == "ScaledDotProductAttention":
            node.input(3).replace_source_output(none.output(0))
    encoder.validate_nodes_and_infer_types()


def _names(model: ov.Model) -> list[str]:
    return [each.get_any_name() for each in model.inputs]


def _bound(model: ov.Model) -> int | None:
    """The graph's fixed number of patches; None if any number is supported or the graph takes none."""
    if PATCHES not in _names(model):
        return None
    axis = model.input(PATCHES).get_partial_shape()[1]
    return None if axis.is_dynamic else axis.get_length()


def _keeping_bf16(model: ov.Model) -> ov.Model:
    """Take and return keys and values in bf16, which halves the memory moved between steps."""
    ends = ov.preprocess.PrePostProcessor(model)
    for each in model.inputs:
        if each.get_any_name().startswith(_KEPT):
            ends.input(each.get_any_name()).tensor().set_element_type(ov.Type.bf16)
    for each in model.outputs:
        if each.get_any_name().startswith(_KEPT):
            ends.output(each.get_any_name()).tensor().set_element_type(ov.Type.bf16)
    return ends.build()
