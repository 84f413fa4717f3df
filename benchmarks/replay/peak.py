"""Run a module like ``python -m``, then print the process's peak memory on standard error.

Measured by the process itself, because what ``wait4`` reports for a child includes the parent it was forked from.
"""

import re
import runpy
import sys
from pathlib import Path


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kibibytes) / 1024


if __name__ == "__main__":
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    print(peak_mib(), file=sys.stderr)  # noqa: T201 - read by the parent
