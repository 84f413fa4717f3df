"""The cost of serving: time to ready, the worker's peak memory, and the overhead of HTTP over the engine."""

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from clients.launcher import launched
from services.matcha.backends import Hardware
from services.matcha.engine import ChartQA
from services.matcha.types import ChartQuestion
from services.matcha.variants import VariantName

_LOG: Final = Path(tempfile.gettempdir()) / "tallyglass-benchmark.log"


@dataclass(frozen=True, slots=True)
class Served:
    """A running service: an HTTP client, the process, and the seconds until it was ready."""

    http: httpx.Client
    process: subprocess.Popen[bytes]
    ready_s: float

    def peak_bytes(self) -> int:
        """Peak resident memory of the worker, the largest of the service's processes."""
        return max(_peak_bytes(process.pid) for process in self._family())

    def service_peak_bytes(self) -> int:
        """The worker's peak plus the unique memory of the other processes: the least that a memory limit must allow."""
        worker = max(self._family(), key=lambda process: _peak_bytes(process.pid))
        others = sum(process.memory_full_info().uss for process in self._family() if process.pid != worker.pid)
        return _peak_bytes(worker.pid) + int(others)

    def _family(self) -> list[psutil.Process]:
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]


@contextmanager
def serving(folder: Path, variant: VariantName, threads: int, *options: str) -> Iterator[Served]:
    """Run the MatCha service on a free loopback port during the block.

    Raises:
        StartupError: it did not become ready.
    """
    required = ["--model", str(folder), "--variant", variant, "--threads", str(threads), "--log-level", "error"]
    command = [sys.executable, "-m", "services.matcha"]
    started_s = time.monotonic()
    with (
        launched(f"matcha-{variant}", command, _LOG, *required, *options, HF_HUB_OFFLINE="1") as service,
        httpx.Client(base_url=service.url, timeout=300, trust_env=False) as client,
    ):
        yield Served(client, service.process, time.monotonic() - started_s)


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


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
