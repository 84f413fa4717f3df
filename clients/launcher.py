"""Start a server on a free loopback port, wait until it can answer, and stop it whatever happens.

For the demo, load tests, benchmarks and tests alike.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_WITHIN_S = 180.0
"""A full-size model in bf16 takes most of it on two cores."""
STOP_WITHIN_S = 40.0
"""A service answers what it has begun before it ends; it gives itself 30 s."""
_EVERY_S = 0.05


class StartupError(Exception):
    """A service did not come up; the message names its log."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: its name, its address, its process."""

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
    # Two services on few cores: a thread that spins while it waits takes the core from the other service.
    with launched(name, [python, "-m", f"services.{name}"], log, *options, OMP_WAIT_POLICY="PASSIVE") as service:
        yield service


@contextmanager
def launched(
    name: str, command: Sequence[str], log: Path, *options: str, up: str = "/ready", **environment: str | None
) -> Iterator[Service]:
    """A server by its command, which must take ``--port``; it is up once the path ``up`` answers 200.

    Variables of the environment are added to this process's, or with None taken out of them.

    Raises:
        StartupError: it ended or was not up in time.
    """
    port = free_port()
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process, which then stops the server in order.
        process = subprocess.Popen(  # noqa: S603 our own modules, and those that they are compared with
            [*command, "--port", str(port), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
    service = Service(name, f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_up(service, up, log)
        yield service
    finally:
        _stop(process)


def _wait_until_up(service: Service, path: str, log: Path) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        if service.process.poll() is not None:
            message = f"{service.name} ended with {service.process.returncode} before it was ready: see {log}"
            raise StartupError(message)
        try:
            if httpx.get(f"{service.url}{path}", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # HTTP comes up once the model is loaded
        time.sleep(_EVERY_S)
    message = f"{service.name} was not ready within {READY_WITHIN_S:g} s: see {log}"
    raise StartupError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
