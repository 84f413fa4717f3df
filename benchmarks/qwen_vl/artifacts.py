"""What ``prepare`` writes for a full-size model in the hub's layout, and what serving each artifact takes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.measurements import Measurement
from benchmarks.qwen_vl.asking import noise
from benchmarks.serving import Served, serving
from services.common.artifact.manifest import MANIFEST_NAME
from services.common.cpu import available_cores

_MB: Final = 1e6
VARIANTS: Final = ("bf16", "int8", "nf4")
_HOW: Final = "2B size, random weights"


def artifact_measurements(model: Path, variant: str) -> Iterator[Measurement]:
    """Prepare the model in a variant, serve the artifact, and ask it one question with an image."""
    plain = _without_manifest(model)
    weights_mb = sum(path.stat().st_size for path in plain.glob("*.safetensors")) / _MB
    out = model.with_name(f"{model.name}-{variant}")
    took_s = _prepare(plain, variant, out)
    own_mb = sum(path.stat().st_size for path in out.iterdir() if path.stat().st_nlink == 1) / _MB
    linked = variant == "bf16"
    yield _one(f"prepare {variant}", took_s, "s")
    yield _one(f"written by prepare {variant}", own_mb, "MB", at_most=20 if linked else None)
    yield from _served(out, variant, weights_mb if linked else None)
    shutil.rmtree(out)
    shutil.rmtree(plain)


def _served(out: Path, variant: str, weights_mb: float | None) -> Iterator[Measurement]:
    with serving("qwen_vl", out, variant, available_cores(), "--timeout-s", "300") as served:
        _ask(served)
        peak_mb = served.service_peak_bytes() / _MB
        yield _one(f"{variant}: ready after", served.ready_s, "s", at_most=10 if weights_mb else None)
        yield _one(f"{variant}: peak memory of the service", peak_mb, "MB")
        if weights_mb:
            yield _one(f"{variant}: peak memory over the weights", peak_mb / weights_mb, "times", at_most=1.25)


def _one(name: str, value: float, unit: str, at_most: float | None = None) -> Measurement:
    return Measurement.single(name, value, unit, _HOW, n=1, at_most=at_most)


def _ask(served: Served) -> None:
    files = {"image": noise(0).data}
    reply = served.http.post("/v1/answer", files=files, data={"question": "What is this?", "max_new_tokens": "4"})
    reply.raise_for_status()


def _prepare(plain: Path, variant: str, out: Path) -> float:
    options = ["--variant", variant, "--out", str(out), "--force"]
    command = [sys.executable, "-m", "services.qwen_vl", "prepare", str(plain), *options]
    began_s = time.monotonic()
    subprocess.run(command, check=True)  # noqa: S603 this project's own command
    return time.monotonic() - began_s


def _without_manifest(model: Path) -> Path:
    """The model as on the hub, in links."""
    plain = model.with_name(f"{model.name}-plain")
    shutil.rmtree(plain, ignore_errors=True)
    return Path(shutil.copytree(model, plain, copy_function=os.link, ignore=shutil.ignore_patterns(MANIFEST_NAME)))
