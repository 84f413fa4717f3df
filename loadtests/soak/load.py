"""A load in the background of a drill, and what became of each of its requests."""

import base64
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx

from clients.replay.run.folder import RunFolder
from loadtests import profile as profiles
from loadtests.profile import Profile
from loadtests.results.outcomes import LoadFailed, LoadScored, Outcome, read
from loadtests.results.summary import Summary
from loadtests.run import TASK_OF, Plan, run
from loadtests.soak.target import Target
from loadtests.traffic.samples import BUNDLED, load

OBJECTIVE_MS: Final = 3000.0
"""An answer counts as good within this time: a full house of 64 requests of the embedded models waits for about two
seconds."""
TIMEOUT_S: Final = 30.0
_USERS: Final = 32

Answers = dict[str, str]
"""The right answers of a server, by sample: what it said when nothing disturbed it."""


def open_loop(rate_per_s: float, duration_s: float, warm_up_s: float = 0.0) -> Profile:
    """Independent users, who send whether or not others were answered."""
    return Profile(
        name=f"{rate_per_s:.0f} a second",
        loop="open",
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        warm_up_s=warm_up_s,
        pictures="unique",
        timeout_s=TIMEOUT_S,
        objective_ms=OBJECTIVE_MS,
    )


def capacity_per_s(target: Target, url: str, out: Path, duration_s: float) -> float:
    """Answers per second with a few users who each wait for an answer before the next question."""
    profile = profiles.load("capacity", (f"users={_USERS}", f"duration_s={duration_s}"))
    return under(target, url, profile, out).answered_per_s


def under(target: Target, url: str, profile: Profile, out: Path) -> Summary:
    """Load a running server; the outcomes are in ``out``."""
    return run(Plan(target.service, profile, out, url=url, card=target.card))


def while_loaded(
    target: Target, url: str, profile: Profile, out: Path, drill: Callable[[], None]
) -> tuple[Outcome, ...]:
    """Do the drill while the server is loaded; returns the outcome of every request."""
    with ThreadPoolExecutor(1) as pool:
        loaded = pool.submit(under, target, url, profile, out)
        drill()
        loaded.result()
    return outcomes_in(out)


def outcomes_in(out: Path) -> tuple[Outcome, ...]:
    """The outcomes of a load."""
    return read(RunFolder(out).outcomes)


def right_answers(target: Target, url: str) -> Answers:
    """Ask every question once, at leisure."""
    task = TASK_OF[target.service]
    samples = load(task, BUNDLED / task, seed=0)
    answers = {}
    with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        for sample in samples.questions:
            image = base64.b64encode(samples.read(sample.image_key)).decode()
            response = client.post("/v1/answer", json={"image": image, "question": sample.question})
            answers[sample.id] = response.raise_for_status().json()["answer"]
    return answers


def answered(outcomes: Iterable[Outcome]) -> list[LoadScored]:
    """Those that were answered."""
    return [outcome for outcome in outcomes if isinstance(outcome, LoadScored)]


def failed(outcomes: Iterable[Outcome]) -> list[LoadFailed]:
    """Those that were not."""
    return [outcome for outcome in outcomes if isinstance(outcome, LoadFailed)]


def refused(outcomes: Iterable[Outcome], *statuses: int) -> list[LoadFailed]:
    """Those that got one of these statuses."""
    return [outcome for outcome in failed(outcomes) if outcome.failure.status in statuses]


def wrong(outcomes: Iterable[Outcome], answers: Answers) -> int:
    """How many answers differ from the right one; a request's id ends with its sample's."""
    return sum(outcome.answer != answers[outcome.sample_id.partition("/")[2]] for outcome in answered(outcomes))
