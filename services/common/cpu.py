"""CPU resources of this process: cores within the container's quota, and instruction set extensions.

PyTorch, ONNX Runtime and OpenVINO size their thread pools by the host's cores. In a container with a CPU limit, that
oversubscribes the quota and the threads are throttled together.
"""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")

WORKER_ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "GOMP_SPINCOUNT": "10000"}
"""Environment of a worker, read when the process starts. Variables that are already set keep their value.

glibc (2.35 or later) then uses huge pages: PyTorch allocates fresh memory for each layer's output, and a page fault per
4 KiB costs a few per cent of a request. PyTorch's OpenMP threads then wait some 20 µs in a loop before they sleep,
instead of milliseconds: beside other processes, such loops take the very cores that the awaited threads need.
"""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86 with tiles, Arm


def available_cores(cgroup: Path = CGROUP) -> int:
    """Cores this process may use: its affinity or its cgroup's CPU quota rounded up, whichever is less.

    The quota is read from inside the container: ``cpu.max`` (cgroup v2), else ``cpu/cpu.cfs_quota_us`` over
    ``cpu.cfs_period_us`` (v1). The result is at least 1.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def computes_in_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; without that, bfloat16 is slower than float32."""
    return not _BF16_FLAGS.isdisjoint(instructions(cpuinfo))


def instructions(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The CPU's instruction set extensions by their Linux names; empty if Linux does not list them."""
    if not cpuinfo.exists():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def _quota(cgroup: Path) -> float | None:
    """CPU quota in cores, or None if unlimited."""
    version_2 = cgroup / "cpu.max"
    if version_2.is_file():
        limit, period = version_2.read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    version_1 = cgroup / "cpu"
    if (version_1 / "cpu.cfs_quota_us").is_file():
        limit = (version_1 / "cpu.cfs_quota_us").read_text(encoding="ascii")
        period = (version_1 / "cpu.cfs_period_us").read_text(encoding="ascii")
        return None if int(limit) < 0 else int(limit) / int(period)
    return None
