"""``openvino-int8``: what is computed once per image in int8 by NNCF, what is computed per token with int8 weights.

The encoder and the cross-attention's keys and values multiply int8 by int8, the ranges of the activations measured on
images beforehand (and smoothed: SmoothQuant, arXiv 2211.10438); so does each attention's query by its keys, where
the kernel of ``services.matcha.attention`` does not do all of it. All else is left to the backend's bf16. A decoding
step reads every weight for one row: 8-bit weights suffice, and an answer does not depend on what it shares a batch
with. Measurements: docs/measurements.md.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import openvino as ov

from services.matcha.backends.decoding import Arrays
from services.matcha.backends.onnx_names import CROSS_ATTENTION, DECODER_WITH_PAST, ENCODER, MASK, OPENVINO, PATCHES
from services.matcha.backends.openvino_backend import read
from services.matcha.patches import Floats

os.environ.setdefault("NNCF_CI", "1")  # otherwise NNCF reports its use to its makers
import nncf


def quantize(source: Path, target: Path, images: Sequence[Floats]) -> None:
    """Write the graphs of an ``onnx-fp32`` folder in int8; ``images`` (rows, 770) tell how far activations reach."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # NNCF draws bars of its own, over ours
        _quantize(source, target, images)


def _quantize(source: Path, target: Path, images: Sequence[Floats]) -> None:
    nncf.set_log_level(logging.ERROR)
    core = ov.Core()
    encoder = read(core, source / ENCODER)
    patches: list[Arrays] = [{PATCHES: rows[None], MASK: np.ones((1, len(rows)), dtype=np.int64)} for rows in images]
    compiled = core.compile_model(encoder, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    states: list[Arrays] = [{"encoder_hidden_states": compiled(each)[0]} for each in patches]
    del compiled
    _save(_int8(encoder, patches), target / ENCODER)
    _save(_int8(read(core, source / CROSS_ATTENTION), states), target / CROSS_ATTENTION)
    step = read(core, source / DECODER_WITH_PAST)
    _save(nncf.compress_weights(step, mode=nncf.CompressWeightsMode.INT8_SYM), target / DECODER_WITH_PAST)


def _int8(model: ov.Model, inputs: Sequence[Arrays]) -> ov.Model:
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,  # weights symmetric, activations as they fall
    )


def _save(model: ov.Model, path: Path) -> None:
    ov.save_model(model, path.with_suffix(OPENVINO), compress_to_fp16=False)
