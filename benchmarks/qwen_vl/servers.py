"""Time of single requests over HTTP: our service against ``transformers serve`` with the same weights.

Only one server runs at a time, to save memory: blocks of requests to each alternate.
"""

import base64
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks.measurements import Measurement
from benchmarks.quiet import Tries, calm_tries
from benchmarks.qwen_vl.asking import ANSWER_TOKENS, TEXTS, noise, seconds, told
from clients.launcher import launched
from services.common.cpu import WORKER_ENVIRONMENT
from services.qwen_vl.types import ImageFile

_START_S: Final = 180.0
_LOG: Final = Path(tempfile.gettempdir()) / "tallyglass-benchmark.log"
_ANSWER_S: Final = 300.0
_numbers = itertools.count(1000)

Pair = tuple[float, float]
"""Seconds for the first and the second question about an image."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How to start a server, its health endpoint, and its name for the model."""

    name: str
    command: Sequence[str]
    up: str
    model: str


def ours(folder: Path) -> Contender:
    """Our service in bf16."""
    options = ["--model", str(folder), "--variant", "bf16", "--timeout-s", str(_ANSWER_S), "--log-level", "error"]
    return Contender("tallyglass", [sys.executable, "-m", "services.qwen_vl", *options], "/ready", "any")


def theirs(folder: Path, environment: Path) -> Contender:
    """``transformers serve`` from the given environment."""
    model = str(folder.resolve())
    options = ["--device", "cpu", "--dtype", "bfloat16", "--host", "127.0.0.1"]
    command = [str(environment / "bin/transformers"), "serve", model, *options]
    return Contender("transformers serve", command, "/health", model)


def server_measurements(
    folder: Path, environment: Path, blocks: int, pairs: int, patience_s: float
) -> Iterator[Measurement]:
    """Time first and further questions to both servers, in alternating blocks."""
    contenders = (ours(folder), theirs(folder, environment))
    tries: dict[str, list[Tries[Pair]]] = {contender.name: [] for contender in contenders}
    for _ in range(blocks):
        for contender in contenders:
            tries[contender.name].append(_block(contender, pairs, patience_s))
    merged = {name: _merged(parts) for name, parts in tries.items()}
    how = {name: told(of_one, f"over HTTP, {blocks} blocks in turns") for name, of_one in merged.items()}
    for name, of_one in merged.items():
        for number, which in enumerate(("first", "next")):
            yield Measurement.median(
                f"{name}: {which} question", [pair[number] for pair in of_one.values], "s", how[name]
            )
    ours_, theirs_ = (merged[contender.name].values for contender in contenders)
    for number, (which, bar) in enumerate((("first", 1), ("next", 5))):
        ratios = [peer[number] / own[number] for own, peer in zip(ours_, theirs_, strict=True)]
        name = f"{which} question faster than transformers serve"
        yield Measurement.median(name, ratios, "times", how["transformers serve"], at_least=bar)


def _merged(parts: list[Tries[Pair]]) -> Tries[Pair]:
    values = [value for part in parts for value in part.values]
    return Tries(values, max(part.disturbed_percent for part in parts))


def _block(contender: Contender, pairs: int, patience_s: float) -> Tries[Pair]:
    with _running(contender) as (url, process):
        _ask(url, contender.model, noise(next(_numbers)), TEXTS[0])  # warm-up

        def pair() -> Pair:
            about = noise(next(_numbers))
            first = seconds(lambda: _ask(url, contender.model, about, TEXTS[0]))
            return first, seconds(lambda: _ask(url, contender.model, about, TEXTS[1]))

        return calm_tries(pair, pairs, patience_s, [process])


def _ask(url: str, model: str, about: ImageFile, text: str) -> None:
    data = f"data:image/png;base64,{base64.b64encode(about.data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": data}}, {"type": "text", "text": text}]
    body = {"model": model, "max_tokens": ANSWER_TOKENS, "messages": [{"role": "user", "content": content}]}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=_ANSWER_S, trust_env=False)
    response.raise_for_status()
    tokens = response.json()["usage"]["completion_tokens"]
    if tokens != ANSWER_TOKENS:
        message = f"an answer of {tokens} tokens instead of {ANSWER_TOKENS}: times are not comparable"
        raise RuntimeError(message)


@contextmanager
def _running(contender: Contender) -> Iterator[tuple[str, psutil.Process]]:
    # Start each server with its own defaults, without this process's settings for huge pages.
    environment: dict[str, str | None] = {"HF_HUB_OFFLINE": "1", **dict.fromkeys(WORKER_ENVIRONMENT)}
    with launched(contender.name, contender.command, _LOG, up=contender.up, within_s=_START_S, **environment) as server:
        yield server.url, psutil.Process(server.process.pid)
