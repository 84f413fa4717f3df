"""Start a server on a free loopback port, wait until it is ready, and always stop it.

Used by the demo, load tests, benchmarks and tests.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_WITHIN_S = 120.0
"""Unless the caller allows more."""
STOP_WITHIN_S = 80.0
"""On shutdown a service finishes the requests in flight, which have at most a minute by default."""
_EVERY_S = 0.05


class StartupError(Exception):
    """A service did not start; the message names its log."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: its name, address and process."""

    name: str
    url: str
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """A loopback port that is free right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(name: str, log: Path, *options: str, python: str = sys.executable) -> Iterator[Service]:
    """Run ``services.<name>`` with these options while the block runs; enter the block once the service is ready.

    ``python`` is the interpreter to run it with, and so selects the virtual environment.

    Raises:
        StartupError: it exited, was not ready in time, or the environment has it serve HTTPS.
    """
    tls = sorted(setting for setting in os.environ if setting.upper().startswith(f"{name.upper()}_TLS_"))
    if tls:
        message = f"{name} is started here for HTTP on loopback alone: unset {' and '.join(tls)}"
        raise StartupError(message)
    # With two services on few cores, a thread that spins while waiting would take a core from the other service.
    command, alone = [python, "-m", f"services.{name}"], ("--drain-s", "0")  # there is no other server to turn to
    with launched(name, command, log, *alone, *options, OMP_WAIT_POLICY="PASSIVE") as service:
        yield service


@contextmanager
def launched(
    name: str,
    command: Sequence[str],
    log: Path,
    *options: str,
    up: str = "/ready",
    within_s: float | None = None,
    **environment: str | None,
) -> Iterator[Service]:
    """Run a server's command, which must accept ``--port``; the server is up once the path ``up`` returns 200.

    It has ``within_s`` for that, ``READY_WITHIN_S`` by default.

    ``environment`` is added to this process's environment variables; None removes a variable.

    Raises:
        StartupError: it exited, or was not up in time.
    """
    port = free_port()
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    with log.open("wb") as output:
        # In a new session Ctrl-C reaches only this process, which then shuts the server down cleanly.
        process = subprocess.Popen(  # noqa: S603 our own modules, and servers they are compared with
            [*command, "--port", str(port), *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
    service = Service(name, f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_up(service, up, READY_WITHIN_S if within_s is None else within_s, log)
        yield service
    finally:
        _stop(process)


def _wait_until_up(service: Service, path: str, within_s: float, log: Path) -> None:
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if service.process.poll() is not None:
            message = f"{service.name} exited with {service.process.returncode} before it was ready: see {log}"
            raise StartupError(message)
        with suppress(httpx.TransportError):  # the server listens only once its model is loaded
            if httpx.get(f"{service.url}{path}", timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(_EVERY_S)
    message = f"{service.name} was not ready within {within_s:g} s: see {log}"
    raise StartupError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
