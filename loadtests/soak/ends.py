"""The worker is killed, or the server told to stop, while requests are under way."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measurements import Measurement
from clients.launcher import STOP_WITHIN_S, Service
from loadtests.results.outcomes import LoadFailed, Outcome
from loadtests.soak.load import Answers, answered, failed, open_loop, right_answers, while_loaded, wrong
from loadtests.soak.target import Target, worker

_BUSY_S: Final = 4.0
"""How long the load runs before something happens, and after."""
_TOLD_WITHIN_S: Final = 1.0
_NO_SERVER: Final = "refused"
"""What the system says of a port on which nobody listens."""


@dataclass(frozen=True, slots=True)
class End:
    """A round: what became of its requests, when the server was struck, and how it ended.

    ``after_s`` is how long it lasted after that, ``code`` its exit code; None if it did not end in time.
    """

    outcomes: Sequence[Outcome]
    at_s: float
    after_s: float | None
    code: int | None
    wrong: int

    def unanswered(self) -> list[LoadFailed]:
        """Requests that got neither an answer nor a refusal, though there was a server that listened."""
        return [
            outcome
            for outcome in failed(self.outcomes)
            if outcome.failure.status not in {429, 503}
            and not (outcome.sent_at_s > self.at_s and _NO_SERVER in outcome.failure.message)
        ]

    def lost(self) -> list[LoadFailed]:
        """Requests sent before the end began that were not answered, but for those that there was no place for."""
        before = (outcome for outcome in failed(self.outcomes) if outcome.sent_at_s < self.at_s)
        return [outcome for outcome in before if outcome.failure.status != 429]  # noqa: PLR2004 too many requests

    def told_after_s(self) -> float:
        """The longest that a request which failed waited, from when it was sent or the end began."""
        waits = (outcome.ended_at_s - max(self.at_s, outcome.sent_at_s) for outcome in failed(self.outcomes))
        return max(waits, default=0.0)


def kill_workers(target: Target, out: Path, how: str, rate_per_s: float, rounds: int) -> list[Measurement]:
    """Kill the worker under load, so many times: every request is answered or refused at once, and the server ends."""
    ends = _rounds(target, out, rate_per_s, rounds, lambda server: worker(server).kill())
    name, told = f"{rounds} kills of the worker", [end.told_after_s() for end in ends]
    over = [10.0 * _BUSY_S if end.after_s is None else end.after_s for end in ends]
    return [
        *_counts(name, how, ends),
        Measurement.median(f"{name}: longest wait of a refused request", told, "s", how, at_most=_TOLD_WITHIN_S),
        Measurement.median(f"{name}: server ended after", over, "s", how, at_most=10),
    ]


def stop_servers(target: Target, out: Path, how: str, rate_per_s: float, rounds: int) -> list[Measurement]:
    """Tell a loaded server to stop, so many times: what it had accepted is answered, and it exits with 0."""
    ends = _rounds(target, out, rate_per_s, rounds, lambda server: server.process.terminate())
    name, requests = f"{rounds} SIGTERMs", sum(len(end.outcomes) for end in ends)
    lost = sum(len(end.lost()) for end in ends)
    failures = sum(end.code != 0 for end in ends)
    return [
        *_counts(name, how, ends),
        Measurement.single(f"{name}: accepted and lost", lost, "requests", how, n=requests, at_most=0),
        Measurement.single(f"{name}: exit code other than 0", failures, "times", how, n=rounds, at_most=0),
    ]


def _counts(name: str, how: str, ends: Sequence[End]) -> list[Measurement]:
    requests = sum(len(end.outcomes) for end in ends)
    answers = sum(len(answered(end.outcomes)) for end in ends)
    silent, mistaken = sum(len(end.unanswered()) for end in ends), sum(end.wrong for end in ends)
    return [
        Measurement.single(f"{name}: without an answer", silent, "requests", how, n=requests, at_most=0),
        Measurement.single(f"{name}: wrong answers", mistaken, "requests", how, n=answers, at_most=0),
    ]


def _rounds(target: Target, out: Path, rate_per_s: float, rounds: int, strike: Callable[[Service], None]) -> list[End]:
    out.mkdir(parents=True)
    with target.start(out / "reference.log") as server:
        answers = right_answers(target, server.url)
    return [_round(target, out / f"{number}", rate_per_s, answers, strike) for number in range(1, rounds + 1)]


def _round(target: Target, out: Path, rate_per_s: float, answers: Answers, strike: Callable[[Service], None]) -> End:
    struck_at_s: list[float] = []
    after_s: float | None = None
    out.mkdir()
    with target.start(out / "server.log") as server:

        def wait_and_strike() -> None:
            nonlocal after_s
            time.sleep(_BUSY_S)
            struck_at_s.append(time.time())
            strike(server)
            after_s = _ended_after_s(server.process)

        profile = open_loop(rate_per_s, 2 * _BUSY_S)
        outcomes = while_loaded(target, server.url, profile, out / "load", wait_and_strike)
        code = server.process.poll()
    return End(outcomes, struck_at_s[0], after_s, code, wrong(outcomes, answers))


def _ended_after_s(process: subprocess.Popen[bytes]) -> float | None:
    started_s = time.monotonic()
    try:
        process.wait(STOP_WITHIN_S / 4)
    except subprocess.TimeoutExpired:
        return None
    return time.monotonic() - started_s
