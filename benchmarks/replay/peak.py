"""Runs a module as ``python -m`` would, and then says on standard error how much memory the process had at its peak.

Asked of the process itself: what ``wait4`` tells of a child counts the parent that it was forked from.
"""

import re
import runpy
import sys
from pathlib import Path


def peak_mib() -> float:
    """The largest resident set of this process so far, in MiB."""
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kibibytes) / 1024


if __name__ == "__main__":
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    print(peak_mib(), file=sys.stderr)  # noqa: T201 - how the parent learns it
