"""The machine that trains, as a model card names it."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor and number of cores, as far as the system knows them."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
