"""The same lens with nnsight, a library commonly used for it, in a separate environment."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import torch

from benchmarks.measurements import Measurement
from benchmarks.quiet import calm_tries
from benchmarks.qwen_vl.asking import noise, question, told
from services.qwen_vl.model.prompt import PromptBuilder

_SCRIPT: Final = Path(__file__).with_name("nnsight_trace.py")


def library_measurements(folder: Path, environment: Path, pairs: int, patience_s: float) -> Iterator[Measurement]:
    """Time a forward pass to the first token with and without nnsight's trace of every layer."""
    builder = PromptBuilder(folder, max_pixels=1_003_520)
    prompt = builder.build(question(noise(0)))
    inputs = {
        "input_ids": prompt.input_ids,
        "mm_token_type_ids": prompt.mm_token_type_ids,
        "pixel_values": builder.pixels(prompt.spans[0]).bfloat16(),
        "image_grid_thw": prompt.image_grid_thw,
    }
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "prompt.pt"
        torch.save(inputs, path)
        command = [str(environment / "bin/python"), str(_SCRIPT), str(folder), str(path), str(pairs)]

        def run() -> list[tuple[float, float]]:
            ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 our own script
            measured: list[tuple[float, float]] = json.loads(ended.stdout)
            return measured

        tries = calm_tries(run, 1, patience_s, [psutil.Process()])
    how = told(tries, "nnsight 0.8, forward passes to the first token, in turns")
    (measured,) = tries.values
    yield Measurement.median("nnsight: forward pass without a trace", [plain for plain, _ in measured], "s", how)
    yield Measurement.median("nnsight: forward pass with the lens traced", [traced for _, traced in measured], "s", how)
    changes = [1000 * (traced - plain) for plain, traced in measured]
    yield Measurement.median("lens of one position: nnsight", changes, "ms", how)
