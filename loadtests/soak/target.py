"""What the drills are done to: a server of ours or of a peer, and the state of its processes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psutil

from clients.launcher import Service, running
from loadtests.errors import LoadTestError
from services.wire.answer import ModelCard

_EVERY_S: Final = 0.5
_POLL_S: Final = 0.02
_READY_TIMEOUT_S: Final = 2.0

Start = Callable[[Path], AbstractContextManager[Service]]
"""Starts the server, whose output goes to this file, and stops it at the end of the block."""


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of server: its name, the service whose questions it answers, how to start it, when it is ready.

    ``card`` describes a model that the server itself does not describe at ``/v1/models``.
    """

    name: str
    service: str
    start: Start
    ready: str = "/ready"
    card: ModelCard | None = None

    @classmethod
    def ours(cls, service: str, *options: str) -> "Target":
        """A service of ours with its defaults, one compute thread, and these options."""
        return cls("Tallyglass", service, lambda log: running(service, log, "--threads", "1", *options))


def processes(service: Service) -> list[psutil.Process]:
    """The server's processes that are alive."""
    with suppress(psutil.NoSuchProcess):
        main = psutil.Process(service.process.pid)
        return [main, *main.children(recursive=True)]
    return []


def worker(service: Service) -> psutil.Process:
    """The process that holds the model: the largest one.

    Raises:
        LoadTestError: no process is alive.
    """
    alive = processes(service)
    if not alive:
        message = f"{service.name} has ended"
        raise LoadTestError(message)
    return max(alive, key=_resident)


def wait_until_ready(url: str, within_s: float) -> float | None:
    """Seconds until the URL answers 200; None if it did not within this time."""
    started_s = time.monotonic()
    while (waited_s := time.monotonic() - started_s) < within_s:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=_READY_TIMEOUT_S, trust_env=False).status_code == httpx.codes.OK:
                return waited_s
        time.sleep(_POLL_S)
    return None


@dataclass(slots=True)
class Memory:
    """Resident memory of all processes of a server, in MiB, sampled twice a second."""

    mib: list[float] = field(default_factory=list)

    @property
    def swing(self) -> float:
        """How far it went to either side of the middle between its extremes, in percent."""
        low, high = min(self.mib), max(self.mib)
        return 100 * (high - low) / (high + low)


@contextmanager
def watched(service: Service, after_s: float = 0.0) -> Iterator[Memory]:
    """Sample the memory while the block runs, but for its first seconds."""
    memory, ended = Memory(), threading.Event()

    def sample() -> None:
        ended.wait(after_s)
        while True:
            memory.mib.append(resident_mib(service))
            if ended.wait(_EVERY_S):
                return

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def resident_mib(service: Service) -> float:
    """Resident memory of all processes now, in MiB; shared pages count once for each."""
    return sum(map(_resident, processes(service))) / (1 << 20)


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0
