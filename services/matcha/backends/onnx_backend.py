"""MatCha in ONNX Runtime, on the CPU: fp32 and int8 alike, as the graphs in the folder are."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from services.matcha.attention import Int8Attention
from services.matcha.backends import Hardware
from services.matcha.backends.decoding import Arrays, Graph, GraphModel, ModelShape
from services.matcha.backends.onnx_names import ENCODER, ENCODER_PIECES, PATCHES, STATES

_MMAP_THRESHOLD: Final = -3
_TRIM_THRESHOLD: Final = -1
"""Names of settings in glibc's malloc.h."""


class OnnxGraph:
    """One graph in a session of its own; its weights are mapped from their file."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _session(path, threads)
        shapes = {each.name: each.shape for each in self._session.get_inputs()}
        self._inputs = frozenset(shapes)
        self._outputs = [each.name for each in self._session.get_outputs()]
        patches = shapes.get(PATCHES, [None, None])[1]
        self.fixed_patches = patches if isinstance(patches, int) else None

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``."""
        feeds = {name: array for name, array in inputs.items() if name in self._inputs}
        return dict(zip(self._outputs, self._session.run(None, feeds), strict=True))


class EncoderInPieces:
    """An encoder whose attentions are computed between its pieces, in int8; a ``Graph``."""

    fixed_patches: int | None = None

    def __init__(self, pieces: Sequence[Path], attention: Int8Attention, threads: int) -> None:
        self._first, *others = [_session(path, threads) for path in pieces]
        self._others = [(piece, [each.name for each in piece.get_inputs()]) for piece in others]
        self._attention = attention

    def __call__(self, inputs: Arrays) -> Arrays:
        """See ``Graph``. The patches are one image's, none of them padding."""
        outputs = self._first.run(None, {PATCHES: inputs[PATCHES]})
        for piece, names in self._others:
            query, key, value, residual = outputs
            attended = np.empty_like(query)
            self._attention(query, key, value, attended)
            outputs = piece.run(None, dict(zip(names, (residual, attended), strict=True)))
        return {STATES: outputs[0]}


def load(folder: Path, hardware: Hardware, _variant: str) -> GraphModel:
    """The model in an artifact folder, or in one that ``optimum-cli export onnx`` wrote."""
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
    # Threads wait awake for the next of a graph's many small steps, and sleep once it has ended: awake, they would then
    # take the core from attention, and from the next request's header and patches.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.use_env_allocators", "1")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@cache
def _keep_memory() -> None:
    """One pool of memory for all sessions, which never compute at the same time, instead of one each.

    And what NumPy frees after a request stays at hand for the next, instead of being given back to the system and asked
    for again page by page (glibc's mallopt(3); another C library does as it does).
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that glibc takes, and more than any array
        libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
    kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(kind, None)
