"""Time and error of one encoder layer's attention: our int8 kernel against ONNX Runtime and OpenVINO."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import onnxruntime as ort
import openvino as ov
import openvino.opset13 as opset
import torch
from onnx import TensorProto, helper

from benchmarks.measurements import Measurement
from services.matcha.attention import Int8Attention
from services.matcha.patches import Floats

HOW = "make bench-matcha"
_HEADS, _WIDTH = 12, 64
_ROUNDS = 15
_SPREAD = 0.2
"""Scale of the queries, which gives the scores a standard deviation of 1.6: weights are neither flat nor one-hot."""

Attention = Callable[[Sequence[Floats]], Floats]


def has_kernel() -> bool:
    """Whether this machine has the kernel and a CPU that supports it."""
    return Int8Attention.find(_HEADS, _WIDTH, threads=1) is not None


def attention_measurements(patches: int, threads: int) -> list[Measurement]:
    """Milliseconds of each implementation, speedups per round, and relative errors against double precision."""
    numbers = np.random.default_rng(0)
    states = [numbers.normal(size=(1, patches, _HEADS * _WIDTH)).astype(np.float32) for _ in range(3)]
    states[0] *= np.float32(_SPREAD)
    ours = "attention in int8"
    found = {
        ours: _ours(threads),
        "ONNX Runtime's in fp32": _onnx(threads),
        "OpenVINO's in bf16": _openvino(threads),
    }
    exact = _exact(states)
    times: dict[str, list[float]] = {name: [] for name in found}
    results = []
    for name, attend in found.items():
        error = 100 * float(np.linalg.norm(attend(states) - exact) / np.linalg.norm(exact))
        results.append(Measurement.median(f"{name}: error at {patches} patches", [error], "%", HOW))
    for _ in range(_ROUNDS):
        for name, attend in found.items():
            started_s = time.perf_counter()
            attend(states)
            times[name].append(1000 * (time.perf_counter() - started_s))
    for name, spent in times.items():
        results.append(Measurement.median(f"{name}: one layer of {patches} patches", spent, "ms", HOW))
        if name != ours:
            ratios = [theirs / own for theirs, own in zip(spent, times[ours], strict=True)]
            results.append(Measurement.median(f"{ours} against {name} at {patches} patches", ratios, "times", HOW))
    rate = 4 * patches * patches * _HEADS * _WIDTH / median(times[ours]) / 1e6
    results.append(Measurement.median(f"{ours}: rate of its products at {patches} patches", [rate], "GFLOP/s", HOW))
    return results


def _ours(threads: int) -> Attention:
    attention = Int8Attention(_HEADS, threads)

    def attend(states: Sequence[Floats]) -> Floats:
        query, key, value = states
        out = np.empty_like(query)
        attention(query, key, value, out)
        return out

    return attend


def _onnx(threads: int) -> Attention:
    names = ["query", "key", "value"]
    shape: list[str | int | None] = [1, "patches", _HEADS * _WIDTH]
    node = helper.make_node("MultiHeadAttention", names, ["out"], domain="com.microsoft", num_heads=_HEADS, scale=1.0)
    graph = helper.make_graph(
        [node],
        "attention",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or it would spin while the others run
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), options)

    def attend(states: Sequence[Floats]) -> Floats:
        out: Floats = session.run(None, dict(zip(names, states, strict=True)))[0]
        return out

    return attend


def _openvino(threads: int) -> Attention:
    inputs = [opset.parameter([1, -1, _HEADS * _WIDTH], np.float32) for _ in range(3)]
    heads = [
        opset.transpose(opset.reshape(state, [1, -1, _HEADS, _WIDTH], special_zero=False), [0, 2, 1, 3])
        for state in inputs
    ]
    none, one = opset.constant(0, np.float32), opset.constant(1, np.float32)
    attended = opset.scaled_dot_product_attention(*heads, attention_mask=none, scale=one)
    out = opset.reshape(opset.transpose(attended, [0, 2, 1, 3]), [1, -1, _HEADS * _WIDTH], special_zero=False)
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(ov.Model([out], inputs), "CPU", options).create_infer_request()

    def attend(states: Sequence[Floats]) -> Floats:
        output: Floats = request.infer(list(states), share_inputs=True)[0]
        return output

    return attend


def _exact(states: Sequence[Floats]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    query, key, value = (
        torch.from_numpy(state).double().reshape(1, -1, _HEADS, _WIDTH).transpose(1, 2) for state in states
    )
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    return np.asarray(attended.transpose(1, 2).reshape(1, -1, _HEADS * _WIDTH))
