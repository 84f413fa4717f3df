"""How many cores there are to compute on. PyTorch and ONNX Runtime count the host's, and in a container that has a
share of them their threads would then wait for one another.
"""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = CGROUPS) -> int:
    """Whole cores that this process may use: of its affinity and its container's CPU limit the lower, at least one."""
    affinity = len(os.sched_getaffinity(0))
    limit = _limit(cgroups)
    return affinity if limit is None else max(1, min(affinity, int(limit)))


def _limit(cgroups: Path) -> float | None:
    """The CPU limit in cores, as version 2 or 1 of control groups tell it; None if there is none."""
    quota, period = (
        _words(cgroups / "cpu.max")
        or (
            *_words(cgroups / "cpu/cpu.cfs_quota_us"),
            *_words(cgroups / "cpu/cpu.cfs_period_us"),
        )
        or ("max", "")
    )
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
