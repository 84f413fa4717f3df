"""MatCha in ONNX Runtime, on the CPU: fp32 and int8 alike, as the graphs in the folder are."""

from pathlib import Path

import onnxruntime as ort

from services.matcha.decoding import Arrays, Graph, GraphModel

_PATCHES_INPUT = "flattened_patches"


class OnnxGraph:
    """One graph in a session of its own; its weights are mapped from their file."""

    def __init__(self, path: Path, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Spinning threads take the core from the other half of a request; see the README of services/matcha.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        shapes = {each.name: each.shape for each in self._session.get_inputs()}
        self._inputs = frozenset(shapes)
        self._outputs = [each.name for each in self._session.get_outputs()]
        patches = shapes.get(_PATCHES_INPUT, [None, None])[1]
        self.fixed_patches = patches if isinstance(patches, int) else None

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``."""
        feeds = {name: array for name, array in inputs.items() if name in self._inputs}
        return dict(zip(self._outputs, self._session.run(None, feeds), strict=True))


def load(folder: Path, threads: int) -> GraphModel:
    """The model in an artifact folder, or in one that ``optimum-cli export onnx`` wrote."""

    def graph(path: Path) -> Graph:
        return OnnxGraph(path, threads)

    return GraphModel(folder, graph)
