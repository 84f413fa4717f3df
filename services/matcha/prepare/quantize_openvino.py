"""``openvino-int8``: NNCF's int8 for the work done once per image, int8 weights for the work done per token.

The encoder and the cross-attention's keys and values multiply int8 by int8, with activation ranges calibrated on
images (and smoothed: SmoothQuant, arXiv 2211.10438). So does each attention's product of query and keys, unless the
kernel of ``services.matcha.attention`` computes the whole attention. The rest runs in the backend's bf16. A decoding
step reads every weight for one row: 8-bit weights suffice, and an answer does not depend on the rest of its batch.
Measurements: docs/measurements.md.
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

os.environ.setdefault("NNCF_CI", "1")  # disables NNCF's telemetry
import nncf


def quantize(source: Path, target: Path, images: Sequence[Floats]) -> None:
    """Write the graphs of an ``onnx-fp32`` folder in int8, calibrated on ``images`` (rows, 770)."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # NNCF's progress bars would overwrite ours
        _quantize(source, target, images)


def _quantize(source: Path, target: Path, images: Sequence[Floats]) -> None:
    nncf.set_log_level(logging.ERROR)
    core = ov.Core()
    encoder = read(core, source / ENCODER)
    patches: list[Arrays] = [{PATCHES: rows[None], MASK: np.ones((1, len(rows)), dtype=np.int64)} for rows in images]
    compiled = core.compile_model(encoder, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    states: list[Arrays] = [{"encoder_hidden_states": compiled(inputs)[0]} for inputs in patches]
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
        preset=nncf.QuantizationPreset.MIXED,  # symmetric weights, asymmetric activations
    )


def _save(model: ov.Model, path: Path) -> None:
    ov.save_model(model, path.with_suffix(OPENVINO), compress_to_fp16=False)
