"""The cost of serving: the overhead of HTTP over the engine."""

import base64
import json
import time
from pathlib import Path

import httpx

from benchmarks.serving import Served
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.types import ChartQuestion
from services.matcha.variants import VariantName


def post(
    http: httpx.Client, image: Path, question: str, max_patches: int | None, max_new_tokens: int
) -> dict[str, object]:
    """Request one answer over HTTP."""
    body = {
        "image": base64.b64encode(image.read_bytes()).decode(),
        "question": question,
        "max_patches": max_patches,
        "max_new_tokens": max_new_tokens,
    }
    response = http.post("/v1/answer", json=body)
    response.raise_for_status()
    answer: dict[str, object] = json.loads(response.content)
    return answer


def added_ms(served: Served, engine: ChartQA, image: Path, question: ChartQuestion, pairs: int) -> list[float]:
    """Overhead of the service in pairs of measurements: the client's time minus the engine's for the same question."""
    added = []
    for _ in range(pairs):
        started_s = time.perf_counter()
        post(served.http, image, question.text, question.max_patches, question.max_new_tokens)
        served_s = time.perf_counter() - started_s
        started_s = time.perf_counter()
        engine.answer([question])
        added.append((served_s - (time.perf_counter() - started_s)) * 1000)
    return added


def engine_like(folder: Path, variant: VariantName, threads: int) -> ChartQA:
    """Load the same engine in this process."""
    return ChartQA.load(folder, None, variant, Hardware(threads))
