"""Start a service on a free loopback port, wait until it can answer, and stop it whatever happens."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 40.0
"""A service answers what it has begun before it ends; it gives itself 30 s."""


class StartupError(Exception):
    """A service did not come up; the message names its log."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its module under ``services``, its address, its process."""

    name: str
    url: str
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """A loopback port that nothing listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(name: str, log: Path, *options: str, python: str = sys.executable) -> Iterator[Service]:
    """The service ``services.<name>`` with the options given, ready to answer; stopped when the block ends.

    ``python`` is the interpreter, and so the environment, to run it in.

    Raises:
        StartupError: it ended or was not ready in time.
    """
    port = free_port()
    command = [python, "-m", f"services.{name}", "--port", str(port), *options]
    # Two services on few cores: a thread that spins while it waits takes the core from the other service.
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process, which then stops the service in order.
        process = subprocess.Popen(  # noqa: S603 our own module
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    service = Service(name, f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_ready(service, log)
        yield service
    finally:
        _stop(process)


def _wait_until_ready(service: Service, log: Path) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        if service.process.poll() is not None:
            message = f"{service.name} ended with {service.process.returncode} before it was ready: see {log}"
            raise StartupError(message)
        try:
            if httpx.get(f"{service.url}/ready", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # HTTP comes up once the model is loaded
        time.sleep(0.2)
    message = f"{service.name} was not ready within {READY_WITHIN_S:g} s: see {log}"
    raise StartupError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
