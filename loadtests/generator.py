"""Measures the generator's own delay: it loads a no-op server from one core."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measurements import Measurement, write
from clients.launcher import StartupError, launched
from loadtests.errors import LoadTestError
from loadtests.profile import Profile
from loadtests.results.summary import MAX_LAG_MS, Summary
from loadtests.run import Plan, run


@contextmanager
def canned(stall_at_s: float = 0, stall_s: float = 0) -> Iterator[str]:
    """Run a no-op server while the block runs; yields its URL.

    Raises:
        LoadTestError: the server did not start.
    """
    command = [sys.executable, "-m", "loadtests.canned", "--stall-at-s", str(stall_at_s), "--stall-s", str(stall_s)]
    try:
        with (
            tempfile.TemporaryDirectory() as scratch,
            launched("the canned server", command, Path(scratch) / "log", up="/v1/models") as server,
        ):
            yield server.url
    except StartupError as error:
        raise LoadTestError(str(error)) from error


def measure_generator(rate_per_s: float, duration_s: float, out: Path) -> Summary:
    """Load the no-op server, with Locust pinned to one core and the server to the others.

    Raises:
        LoadTestError: the load test failed.
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
