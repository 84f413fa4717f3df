"""What this process may compute with: cores within the container's quota, and the instructions of the processor.

PyTorch, ONNX Runtime and OpenVINO size their thread pools by the host's cores. In a container with a CPU limit that
means many threads that share one core's time, and are throttled together.
"""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Environment in which glibc asks for huge pages (from 2.35 on; elsewhere it changes nothing).

PyTorch takes fresh memory for each layer's results, and a page fault per 4 KiB of it is a few per cent of a request.
"""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86 with tiles, Arm


def available_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may run on: its affinity, or its cgroup's CPU quota rounded up, whichever is less.

    The quota is read as a container sees its own: ``cpu.max`` (cgroup v2), else ``cpu/cpu.cfs_quota_us`` over
    ``cpu.cfs_period_us`` (v1). A part of a core counts as one: there is no smaller number of threads.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def computes_in_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor multiplies bfloat16 in hardware; without that, bfloat16 is slower than float32."""
    return not _BF16_FLAGS.isdisjoint(instructions(cpuinfo))


def instructions(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Extensions of the processor's instruction set, as Linux names them; none where it does not say."""
    if not cpuinfo.exists():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return frozenset(value.split())
    return frozenset()


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time allowed, or None without a limit."""
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
