"""A service to measure: when it is ready, and how much memory it takes."""

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
def serving(name: str, folder: Path, variant: str, threads: int, *options: str) -> Iterator[Served]:
    """Run ``services.<name>`` on a free loopback port during the block.

    Raises:
        StartupError: it did not become ready.
    """
    required = ["--model", str(folder), "--variant", variant, "--threads", str(threads), "--log-level", "error"]
    command = [sys.executable, "-m", f"services.{name}"]
    started_s = time.monotonic()
    with (
        launched(f"{name}-{variant}", command, _LOG, *required, *options, HF_HUB_OFFLINE="1") as service,
        httpx.Client(base_url=service.url, timeout=300, trust_env=False) as client,
    ):
        yield Served(client, service.process, time.monotonic() - started_s)


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
