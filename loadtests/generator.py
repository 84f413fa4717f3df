"""How late the generator is by itself: it loads a server that does nothing, from one core."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from benchmarks.measurements import Measurement, write
from clients.demo.services import free_port
from loadtests.errors import LoadTestError
from loadtests.profile import Profile
from loadtests.results.summary import MAX_LAG_MS, Summary
from loadtests.run import Plan, run

_UP_WITHIN_S: Final = 20.0


@contextmanager
def canned(stall_at_s: float = 0, stall_s: float = 0) -> Iterator[str]:
    """The address of a server that does nothing; it is stopped when the block ends.

    Raises:
        LoadTestError: it did not come up.
    """
    port = free_port()
    command = [sys.executable, "-m", "loadtests.canned", str(port), str(stall_at_s), str(stall_s)]
    process = subprocess.Popen(command)  # noqa: S603 our own module
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def measure_generator(rate_per_s: float, duration_s: float, out: Path) -> Summary:
    """Load the server that does nothing, with Locust bound to one core and the server to the others.

    Raises:
        LoadTestError: it could not be run.
    """
    profile = Profile(
        name="generator",
        loop="open",
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        warm_up_s=3,
        pictures="unique",
        timeout_s=10,
        objective_ms=100,
    )
    everywhere = os.sched_getaffinity(0)
    one = {min(everywhere)}
    try:
        os.sched_setaffinity(0, everywhere - one or one)
        with canned() as url:
            os.sched_setaffinity(0, one)
            summary = run(Plan("matcha", profile, out, url=url))
    finally:
        os.sched_setaffinity(0, everywhere)
    lag, how = summary.lag, f"python -m loadtests generator --rate {rate_per_s:g} --duration-s {duration_s:g}"
    late = Measurement.single(
        "p99 scheduling lag of the generator", lag.p99_ms or 0, "ms", how, n=lag.n, at_most=MAX_LAG_MS
    )
    fast = Measurement.single(
        "requests per second of the generator", summary.answered_per_s, "1/s", how, n=summary.answered
    )
    write([late, fast], out)
    return summary


def _wait_until_up(url: str) -> None:
    deadline_s = time.monotonic() + _UP_WITHIN_S
    while time.monotonic() < deadline_s:
        try:
            httpx.get(f"{url}/v1/models", trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    message = f"the canned server was not up within {_UP_WITHIN_S:g} s"
    raise LoadTestError(message)
