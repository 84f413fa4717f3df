"""MatCha in OpenVINO, on the CPU: the graphs of ``onnx-fp32``, unchanged, computed in bf16 where the processor can."""

from pathlib import Path
from typing import Literal

import openvino as ov

from services.matcha.decoding import Arrays, Graph, GraphModel

_PATCHES_INPUT = "flattened_patches"


class OpenVinoGraph:
    """One graph, compiled for latency."""

    def __init__(self, core: ov.Core, path: Path, threads: int, precision: Literal["bf16", "f32"]) -> None:
        model = core.read_model(path)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # to the same core as another replica's
            },
        )
        self._request = compiled.create_infer_request()
        self._inputs = {each.get_any_name(): each for each in compiled.inputs}
        self._outputs = [each.get_any_name() for each in compiled.outputs]
        self.fixed_patches = self._bound(_PATCHES_INPUT)

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``."""
        feeds = {name: array for name, array in inputs.items() if name in self._inputs}
        outputs = self._request.infer(feeds, share_inputs=True, share_outputs=False)
        return dict(zip(self._outputs, outputs.to_tuple(), strict=True))

    def _bound(self, name: str) -> int | None:
        if name not in self._inputs:
            return None
        axis = self._inputs[name].get_partial_shape()[1]
        return None if axis.is_dynamic else axis.get_length()


def load(folder: Path, threads: int) -> GraphModel:
    """The model in an ``onnx-fp32`` artifact folder."""
    core = ov.Core()
    precision: Literal["bf16", "f32"] = (
        "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    )

    def graph(path: Path) -> Graph:
        return OpenVinoGraph(core, path, threads, precision)

    return GraphModel(folder, graph)
