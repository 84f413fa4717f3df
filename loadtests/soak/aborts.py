"""Thousands of clients that hang up: what they leave behind."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Final

import httpx

from benchmarks.measurements import Measurement
from loadtests.run import TASK_OF
from loadtests.soak.load import TIMEOUT_S
from loadtests.soak.target import Target, resident_mib
from loadtests.traffic.questions import Ask, Questions
from loadtests.traffic.samples import BUNDLED, load

_AT_ONCE: Final = 32
_PATIENCE_S: Final = 0.03
_USUAL: Final = 30
_ASK_EVERY: Final = 10
_HEADERS: Final = {"Content-Type": "application/json"}


def abort(target: Target, out: Path, how: str, times: int) -> list[Measurement]:
    """Send so many requests and hang up on each after 30 ms; in between ask and wait."""
    out.mkdir(parents=True)
    task = TASK_OF[target.service]
    asks = Questions(load(task, BUNDLED / task, seed=0), "unique", lens=False, seed=0).stream("aborts")
    with target.start(out / "server.log") as server, httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:

        def answer_ms() -> float:
            body, started_s = next(asks).body, time.perf_counter()
            client.post(f"{server.url}/v1/answer", content=body, headers=_HEADERS).raise_for_status()
            return 1000 * (time.perf_counter() - started_s)

        def hang_up() -> None:
            asyncio.run(_hang_up(server.url, [next(asks) for _ in range(_AT_ONCE)]))

        hang_up()  # so that all code has run once
        usual_ms = statistics.median(answer_ms() for _ in range(_USUAL))
        before_mib = resident_mib(server)
        next_ms = []
        for number in range(times // _AT_ONCE):
            hang_up()
            if number % _ASK_EVERY == 0:
                next_ms.append(answer_ms() / usual_ms)
        after_mib = resident_mib(server)
    name, grown = f"{times} aborted requests", 100 * (after_mib - before_mib) / before_mib
    return [
        Measurement.median(f"{name}: next answer", next_ms, "times the usual", how, at_most=2),
        Measurement.single(f"{name}: the usual", usual_ms, "ms", how, n=_USUAL),
        Measurement.single(f"{name}: memory grown", grown, "%", how, n=1, at_most=5),
    ]


async def _hang_up(url: str, asks: list[Ask]) -> None:
    """Ask all at once on connections of their own, and close each connection after a moment."""
    async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:

        async def ask_and_leave(ask: Ask) -> None:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await client.post(f"{url}/v1/answer", content=ask.body, headers=_HEADERS)
            except (TimeoutError, httpx.HTTPError):
                return

        await asyncio.gather(*map(ask_and_leave, asks))
