"""The service's processes as metrics, read when they are asked for: their memory, and how often the worker died."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class Watched(Protocol):
    """What is known of the worker."""

    @property
    def running(self) -> int:
        """Requests that it is computing."""

    @property
    def waiting(self) -> int:
        """Requests that wait for it."""

    @property
    def silent_s(self) -> float:
        """Seconds since it was last heard of."""

    @property
    def worker_pid(self) -> int:
        """Its process id; 0 until it has started."""

    @property
    def restarts(self) -> int:
        """How many workers were started in place of one that died."""


class ProcessesCollector(Collector):
    """What the HTTP process sees of its parent, the main process, and of that one's children, itself among them."""

    def __init__(self, worker: Watched) -> None:
        self._worker = worker

    def describe(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        """The families without values: those are of the process that is asked."""
        return [_memory(), _restarts()]

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Memory by process; what the main one started besides HTTP and the worker keeps the queues."""
        main = psutil.Process(os.getppid())
        names = {main.pid: "main", os.getpid(): "http", self._worker.worker_pid: "worker"}
        sizes: Counter[str] = Counter()
        for process in (main, *main.children()):
            try:
                sizes[names.get(process.pid, "queues")] += process.memory_info().rss
            except psutil.NoSuchProcess:  # it ended meanwhile, and has no memory
                continue
        memory, deaths = _memory(), _restarts()
        for name, size in sizes.items():
            memory.add_metric([name], size)
        deaths.add_metric([], self._worker.restarts)
        yield from (memory, deaths)


def _memory() -> GaugeMetricFamily:
    text = "Memory that a process holds; pages that it shares with others count in each."
    return GaugeMetricFamily("tallyglass_process_resident_memory_bytes", text, labels=["process"])


def _restarts() -> CounterMetricFamily:
    return CounterMetricFamily("tallyglass_worker_restarts", "Workers started in place of one that died.", labels=[])
