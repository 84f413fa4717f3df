"""MatCha in ONNX Runtime on the CPU, with fp32 or int8 graphs."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from services.common.artifact.reading import readable
from services.matcha.attention import Int8Attention
from services.matcha.backends import Hardware
from services.matcha.backends.decoding import Arrays, Graph, GraphModel
from services.matcha.backends.model_shape import ModelShape
from services.matcha.backends.onnx_names import ENCODER, ENCODER_PIECES, PATCHES, STATES

_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
"""Parameters of ``mallopt``, from glibc's malloc.h."""


class OnnxGraph:
    """One graph in its own session, with weights memory-mapped from their file."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _session(path, threads)
        shapes = {tensor.name: tensor.shape for tensor in self._session.get_inputs()}
        self._inputs = frozenset(shapes)
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]
        patches = shapes.get(PATCHES, [None, None])[1]
        self.fixed_patches = patches if isinstance(patches, int) else None

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``."""
        feeds = {name: array for name, array in inputs.items() if name in self._inputs}
        return dict(zip(self._outputs, self._session.run(None, feeds), strict=True))


class EncoderInPieces:
    """A ``Graph`` of the encoder that computes attention in int8 between the encoder's pieces."""

    fixed_patches: int | None = None

    def __init__(self, pieces: Sequence[Path], attention: Int8Attention, threads: int) -> None:
        self._first, *others = [_session(path, threads) for path in pieces]
        self._others = [(piece, [tensor.name for tensor in piece.get_inputs()]) for piece in others]
        self._attention = attention

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``. The patches must belong to one image, without padding."""
        outputs = self._first.run(None, {PATCHES: inputs[PATCHES]})
        for piece, names in self._others:
            query, key, value, residual = outputs
            attended = np.empty_like(query)
            self._attention(query, key, value, attended)
            outputs = piece.run(None, dict(zip(names, (residual, attended), strict=True)))
        return {STATES: outputs[0]}


def load(folder: Path, hardware: Hardware, _variant: str) -> GraphModel:
    """Load an artifact folder, or one that ``optimum-cli export onnx`` wrote."""
    threads = hardware.threads
    pieces = sorted(folder.glob(ENCODER_PIECES))
    shape = ModelShape.read(folder)

    def graph(path: Path) -> Graph:
        if path.name == ENCODER and pieces:
            attention = Int8Attention.find(shape.encoder_heads, shape.encoder_head_width, threads)
            if attention:
                return EncoderInPieces(pieces, attention, threads)
        return OnnxGraph(path, threads)

    return GraphModel(folder, graph)


def _session(path: Path, threads: int) -> ort.InferenceSession:
    _keep_memory()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Threads spin between a graph's many small operators but sleep once the graph ends: spinning on would take cores
    # from attention, and from the next request's preprocessing.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.use_env_allocators", "1")
    with readable(path.name, path.parent):
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@cache
def _keep_memory() -> None:
    """Share one memory arena between all sessions, which never run at the same time.

    Also keep memory that NumPy frees for the next request, instead of returning it to the system and faulting it in
    again page by page (glibc's mallopt(3); no effect with another C library).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # glibc's maximum, and larger than any array
        libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
    kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(kind, None)
