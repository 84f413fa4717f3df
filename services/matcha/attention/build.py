"""``python services/matcha/attention/build.py``: compile this folder's kernel.

Uses Zig's C compiler (extra ``kernel``), which installs as a wheel, so that no system compiler is needed. Container
images include only the result. The script imports nothing else from the project, so that image builds can run it
first.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

KERNEL: Final = Path(__file__).with_name("kernel.so")
_SOURCE: Final = Path(__file__).with_name("kernel.c")
_MACHINE: Final = ("Linux", "x86_64")
_OPTIONS: Final = (
    "-target",
    "x86_64-linux-gnu.2.28",  # the oldest supported glibc
    "-mcpu=x86_64_v4+avx512vnni",
    "-mtune=znver4",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-shared",
)


def build(target: Path = KERNEL) -> None:
    """Compile the kernel and move it into place atomically.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has printed why.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kernel-") as scratch:
        fresh = Path(scratch) / target.name
        cache = {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
        command = [sys.executable, "-m", "ziglang", "cc", *_OPTIONS, "-o", str(fresh), str(_SOURCE)]
        subprocess.run(command, check=True, env=os.environ | cache)  # noqa: S603 our own arguments
        fresh.chmod(0o755)
        fresh.rename(target)


if __name__ == "__main__":
    found = (platform.system(), platform.machine())
    if found == _MACHINE:
        build()
    else:
        print(f"no kernel for {' '.join(found)}: the runtime's own attention will be used")  # noqa: T201 a script
