"""How late the generator is by itself: which load that is, on which cores, and what is told of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from loadtests import generator
from loadtests.errors import LoadTestError
from loadtests.generator import canned, measure_generator
from loadtests.run import Plan
from loadtests.summary import Spread, Summary
from services.common.schemas import AnswerResponse
from tests.unit.loadtests.test_table import FIRST

LATE = replace(FIRST, answered_per_s=123.4, answered=2468, lag=Spread(2500, 1, 2, 3, 20.5, 30))


@pytest.mark.slow
def test_a_canned_server_answers_while_the_block_lasts() -> None:
    with canned() as url:
        reply = httpx.post(f"{url}/v1/answer", json={}, trust_env=False)
        assert AnswerResponse.model_validate_json(reply.content).model == "canned"
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/v1/models", trust_env=False)


@pytest.mark.slow
def test_a_canned_server_that_does_not_come_up_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_UP_WITHIN_S", 0.0)
    with pytest.raises(LoadTestError, match="not up within 0 s"), canned():
        pass


@dataclass
class Process:
    """One that listens only when it has been asked often enough."""

    command: list[str]
    asked: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def terminate(self) -> None:
        self.calls.append("terminate")

    def wait(self) -> None:
        self.calls.append("wait")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """Those that were started; none listens before it has been asked 4 times, and time passes only in ``sleep``."""
    started: list[Process] = []
    now_s = 1000.0

    def start(command: list[str]) -> Process:
        started.append(Process(command))
        return started[-1]

    def get(url: str, *, trust_env: bool = True) -> httpx.Response:
        assert not trust_env, "a proxy of the machine would be asked"
        started[-1].asked.append(url)
        if len(started[-1].asked) < 4:
            message = "nobody listens"
            raise httpx.ConnectError(message)
        return httpx.Response(200, request=httpx.Request("GET", url))

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    return started


def test_the_block_begins_when_the_server_answers_and_ends_with_the_server(processes: list[Process]) -> None:
    with canned(stall_at_s=2.5, stall_s=7) as url:
        (process,) = processes
        assert process.asked == [f"{url}/v1/models"] * 4
        assert process.calls == []
    assert process.calls == ["terminate", "wait"]
    port = url.removeprefix("http://127.0.0.1:")
    assert process.command == [sys.executable, "-m", "loadtests.canned", port, "2.5", "7"]


def test_a_server_that_does_not_answer_in_time_is_stopped(
    monkeypatch: pytest.MonkeyPatch, processes: list[Process]
) -> None:
    monkeypatch.setattr(generator, "_UP_WITHIN_S", 0.25)
    with pytest.raises(LoadTestError, match=r"^the canned server was not up within 0\.25 s$"), canned():
        pass
    (process,) = processes
    assert process.asked
    assert process.calls == ["terminate", "wait"]


@dataclass
class Cores:
    """Stands in for the machine's: on which of them this process may run."""

    everywhere: set[int]
    here: set[int] = field(init=False)

    def __post_init__(self) -> None:
        """As it was started."""
        self.here = self.everywhere

    def read(self, process: int) -> set[int]:
        assert process == 0, "this one"
        return set(self.here)

    def bind(self, process: int, cores: set[int]) -> None:
        assert process == 0, "this one"
        self.here = set(cores)


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Cores:
    """Three of them."""
    made = Cores({5, 2, 7})
    monkeypatch.setattr(os, "sched_getaffinity", made.read)
    monkeypatch.setattr(os, "sched_setaffinity", made.bind)
    return made


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, cores: Cores, tmp_path: Path) -> Callable[[Summary], Plan]:
    """Measures without a load, and gives the plan."""
    plans: list[Plan] = []

    @contextmanager
    def nothing() -> Iterator[str]:
        assert cores.here == (cores.everywhere - {min(cores.everywhere)} or cores.everywhere)
        yield "http://127.0.0.1:1"

    def measure(summary: Summary) -> Plan:
        def run(plan: Plan) -> Summary:
            assert cores.here == {min(cores.everywhere)}
            plans.append(plan)
            return summary

        monkeypatch.setattr(generator, "canned", nothing)
        monkeypatch.setattr(generator, "run", run)
        assert measure_generator(300, 20, tmp_path) is summary
        assert cores.here == cores.everywhere
        return plans[-1]

    return measure


def test_a_machine_of_one_core_measures_all_the_same(measured: Callable[[Summary], Plan], cores: Cores) -> None:
    cores.here = cores.everywhere = {3}
    measured(LATE)


def test_the_generator_is_loaded_as_asked_from_one_core(measured: Callable[[Summary], Plan], tmp_path: Path) -> None:
    plan = measured(LATE)
    assert (plan.service, plan.url, plan.out) == ("matcha", "http://127.0.0.1:1", tmp_path)
    asked = plan.profile
    assert (asked.name, asked.loop, asked.rate_per_s, asked.duration_s) == ("generator", "open", 300, 20)
    assert (asked.users, asked.pictures) == (1, "unique")
    assert asked.warm_up_s >= 1  # what is slow at first is not the generator's pace


def test_its_figures_are_its_lag_and_its_rate(measured: Callable[[Summary], Plan], tmp_path: Path) -> None:
    measured(LATE)
    late, fast = json.loads((tmp_path / "figures.json").read_text())
    told = ("figure", "value", "unit", "n", "bar", "holds")
    assert [late[key] for key in told] == ["p99 scheduling lag of the generator", 20.5, "ms", 2500, 20, False]
    assert [fast[key] for key in told] == ["requests per second of the generator", 123.4, "1/s", 2468, None, None]
    assert late["how"] == fast["how"] == "python -m loadtests generator --rate 300 --duration-s 20"


def test_a_lag_of_nothing_is_none(measured: Callable[[Summary], Plan], tmp_path: Path) -> None:
    measured(replace(LATE, lag=Spread.of([])))
    assert json.loads((tmp_path / "figures.json").read_text())[0]["value"] == 0


def test_a_load_that_fails_leaves_every_core_to_what_comes_after(
    monkeypatch: pytest.MonkeyPatch, measured: Callable[[Summary], Plan], cores: Cores, tmp_path: Path
) -> None:
    measured(LATE)

    def fail(_: Plan) -> Summary:
        message = "no"
        raise LoadTestError(message)

    monkeypatch.setattr(generator, "run", fail)
    with pytest.raises(LoadTestError, match="no"):
        measure_generator(300, 20, tmp_path)
    assert cores.here == cores.everywhere
