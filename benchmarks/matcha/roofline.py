"""A roofline: the CPU's throughput in fp32, bf16 and int8, and the operations that a MatCha request needs."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto, helper

from benchmarks.matcha.subjects.peer import TOKENS
from benchmarks.measurements import Measurement

HOW = "make bench-matcha"
_ROWS, _INNER, _COLUMNS = 2048, 768, 2048
_REPEATS = 15


def encoder_flops(patches: int) -> tuple[float, float]:
    """Operations in the encoder's linear layers and attention, for the sizes of ``model.write_random_model``."""
    linear = 2 * patches * 12 * (4 * 768 * 768 + 3 * 768 * 2048)
    attention = 2 * 2 * patches * patches * 768 * 12
    return linear, attention


def throughput(threads: int) -> dict[str, float]:
    """Operations per second of a matrix product of the encoder's size, by number format, with the best library."""
    torch.set_num_threads(threads)
    flops = 2 * _ROWS * _INNER * _COLUMNS
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.rand(_ROWS, _INNER, dtype=dtype), torch.rand(_INNER, _COLUMNS, dtype=dtype)
        found[name] = flops / _seconds(partial(torch.matmul, left, right))
    found["fp32"] = max(found["fp32"], flops / _seconds(_onnx_product("MatMul", threads)))
    found["int8"] = flops / _seconds(_onnx_product("MatMulInteger", threads))
    return found


def roofline_measurements(rates: dict[str, float], seconds: dict[str, float], patches: int) -> list[Measurement]:
    """The measured throughputs, and how close each variant comes to its limit on a whole request.

    A variant's limit assumes its linear layers and its attention at the throughput of their number formats (torch's
    ``int8`` computes attention in bf16). Decoding the eight tokens is not counted as work: it is bound by reading
    weights, and accounts for part of the gap.
    """
    results = [
        Measurement.median(f"matrix product in {name}", [rate / 1e9], "GFLOP/s", HOW) for name, rate in rates.items()
    ]
    linear, attention = encoder_flops(patches)
    forms = {"fp32": ("fp32", "fp32"), "bf16": ("bf16", "bf16"), "int8": ("int8", "bf16")}
    forms |= {
        "onnx-fp32": ("fp32", "fp32"),
        "onnx-int8": ("int8", "int8"),
        "openvino": ("bf16", "bf16"),
        "openvino-int8": ("int8", "int8"),
    }
    for variant, (of_linear, of_attention) in forms.items():
        limit_s = linear / rates[of_linear] + attention / rates[of_attention]
        name = f"{variant}: share of its roofline, with {TOKENS} tokens, at {patches} patches"
        results.append(Measurement.median(name, [100 * limit_s / seconds[variant]], "%", HOW))
    return results


def _onnx_product(operator: str, threads: int) -> Callable[[], object]:
    """The product in ONNX Runtime, with a constant right side like a layer's weights."""
    kind, dtype = (TensorProto.FLOAT, np.float32) if operator == "MatMul" else (TensorProto.INT8, np.int8)
    out = TensorProto.FLOAT if operator == "MatMul" else TensorProto.INT32
    left_kind, left_dtype = (kind, dtype) if operator == "MatMul" else (TensorProto.UINT8, np.uint8)
    weights = np.random.default_rng(0).integers(-5, 5, (_INNER, _COLUMNS)).astype(dtype)
    graph = helper.make_graph(
        [helper.make_node(operator, ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", left_kind, [_ROWS, _INNER])],
        [helper.make_tensor_value_info("out", out, [_ROWS, _COLUMNS])],
        [helper.make_tensor("right", kind, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options)
    left = np.random.default_rng(1).integers(0, 5, (_ROWS, _INNER)).astype(left_dtype)
    return lambda: session.run(None, {"left": left})


def _seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_REPEATS):
        started_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - started_s)
    return median(times)
