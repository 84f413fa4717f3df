"""The machine and the package versions of a run."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

_PACKAGES: Final = ("tallyglass", "httpx", "pydantic", "pillow")


class Machine(BaseModel):
    """The machine the client ran on; also the service's, if its URL is a loopback one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    cpu: str
    cores: int
    system: str

    @classmethod
    def this(cls) -> "Machine":
        """This machine."""
        return cls(cpu=_cpu_name(), cores=os.cpu_count() or 1, system=f"{platform.system()} {platform.machine()}")


def client_versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect the client's behaviour."""
    return {"python": platform.python_version()} | {package: _version(package) for package in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
