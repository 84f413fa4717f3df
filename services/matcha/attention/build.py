"""``python services/matcha/attention/build.py``: the kernel of this folder, made from its source.

By the C compiler of Zig (extra ``kernel``), which is a wheel like all else, so that no machine needs a compiler of its
own. Images take the result and leave the compiler behind. A script that imports nothing else of the project, so that
their builds can make the kernel before all else.
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
    "x86_64-linux-gnu.2.28",  # the oldest C library to load it
    "-mcpu=x86_64_v4+avx512vnni",
    "-mtune=znver4",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-shared",
)


def build(target: Path = KERNEL) -> None:
    """Compile the kernel, which takes its place once it is whole.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has said why.
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
        print(f"no kernel for {' '.join(found)}: attention stays the runtime's own")  # noqa: T201 said to who builds
