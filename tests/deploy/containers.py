"""Images and hardened containers of the services, for tests and benchmarks."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import httpx
import pytest

from clients.launcher import free_port

BASE = "python:3.11-slim-bookworm"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Image:
    """An image of ``make images``: its name, its service's folder and settings prefix, and its limits."""

    name: str
    service: str
    prefix: str
    max_mb: int
    ready_within_cpu_s: float


@dataclass(frozen=True, slots=True)
class Container:
    """A running service container, and the processor time that it took to be ready.

    With a limit of one CPU on an idle machine, that is the time on the clock (measured: 92 to 97 % of it). Unlike the
    clock, it does not count what other work on the machine takes.
    """

    name: str
    url: str
    ready_cpu_s: float


TORCH = Image("tallyglass/matcha:torch", "matcha", "MATCHA", max_mb=1300, ready_within_cpu_s=20)
QWEN_VL = Image("tallyglass/qwen-vl:cpu", "qwen_vl", "QWEN_VL", max_mb=1300, ready_within_cpu_s=20)
ONNX = Image("tallyglass/matcha:onnx", "matcha", "MATCHA", max_mb=260, ready_within_cpu_s=5)
OPENVINO = Image("tallyglass/matcha:openvino", "matcha", "MATCHA", max_mb=500, ready_within_cpu_s=10)
SERVICES = (TORCH, ONNX, OPENVINO, QWEN_VL)
REPLAY = "tallyglass/replay:client"
REPLAY_MAX_MB = 200
PREPARE = "tallyglass/matcha-prepare:torch"


def missing(what: str) -> NoReturn:
    """Skip the test; in CI, where everything must be available, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``docker``, capturing ``stdout`` and ``stderr``."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        message = f"docker {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        raise AssertionError(message)
    return done


def size_mb(image: str) -> float:
    """Uncompressed size in MB (10^6 bytes, as shown by Docker)."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image).stdout) / 1e6


def above_base_mb(image: str) -> float:
    """Size that an image adds to its base."""
    return size_mb(image) - size_mb(BASE)


def config(image: str) -> dict[str, object]:
    """An image's metadata."""
    values: dict[str, object] = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image).stdout)
    return values


def python_in(image: str, code: str) -> str:
    """Run Python code in an image, as the image's user, and return its output."""
    return docker("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", code).stdout.strip()


@contextmanager
def running(image: Image, *options: str, cpus: float = 1, memory: str = "1g") -> Iterator[Container]:
    """Run a hardened container on the host's loopback while the block runs; entered once it is ready."""
    name, port = f"tallyglass-test-{uuid.uuid4().hex[:8]}", free_port()
    hardened = (
        *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001:10001"),
        *(f"--cpus={cpus}", f"--memory={memory}", "--pids-limit=256", "--network=host"),
    )
    settings = (f"--env={image.prefix}_HOST=127.0.0.1", f"--env={image.prefix}_PORT={port}")
    docker("run", "--detach", f"--name={name}", *hardened, *settings, *options, image.name)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, name)
        yield Container(name, url, cpu_s(name))
    finally:
        docker("rm", "--force", name)


def cpu_s(name: str) -> float:
    """Processor time that a container has used, in seconds, from its own control group (version 1 or 2)."""
    version_1 = "cat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null"
    version_2 = r"sed -n 's/^usage_usec \(.*\)/\1000/p' /sys/fs/cgroup/cpu.stat"
    return int(docker("exec", name, "sh", "-c", f"{version_1} || {version_2}").stdout) / 1e9


def wait_until_ready(url: str, name: str, within_s: float = 60) -> None:
    """Wait for ``/ready``; raise an error with the container's log if it exits or is late."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s and state(name) == "running":
        with suppress(httpx.TransportError):  # the server listens only once the model is loaded
            if httpx.get(f"{url}/ready", timeout=2, trust_env=False).is_success:
                return
        time.sleep(0.05)
    logs = docker("logs", name)
    message = f"{name} is not ready:\n{logs.stdout}{logs.stderr}"
    raise AssertionError(message)


def state(name: str) -> str:
    """``running`` or ``exited``."""
    return docker("inspect", "--format", "{{.State.Status}}", name).stdout.strip()


def exit_code(name: str) -> int:
    """A container's final state."""
    return int(docker("inspect", "--format", "{{.State.ExitCode}}", name).stdout)
