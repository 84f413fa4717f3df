"""The generator's own delay: which load measures it, on which cores, and what is reported."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from clients.launcher import Service
from loadtests import generator
from loadtests.errors import LoadTestError
from loadtests.generator import canned, measure_generator
from loadtests.results.summary import Spread, Summary
from loadtests.run import Plan
from services.wire.answer import AnswerResponse
from tests.unit.loadtests.results.test_table import FIRST

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
    monkeypatch.setattr("clients.launcher.READY_WITHIN_S", 0.0)
    with pytest.raises(LoadTestError, match="the canned server was not ready within 0 s"), canned():
        pass


def test_the_canned_server_stalls_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    @contextmanager
    def launched(_name: str, command: list[str], _log: Path, *, up: str) -> Iterator[Service]:
        commands.append([*command, up])
        yield Service("canned", "http://127.0.0.1:1", cast("Any", None))

    monkeypatch.setattr(generator, "launched", launched)
    with canned(stall_at_s=2.5, stall_s=7) as url:
        assert url == "http://127.0.0.1:1"
    stalls = ["--stall-at-s", "2.5", "--stall-s", "7"]
    assert commands == [[sys.executable, "-m", "loadtests.canned", *stalls, "/v1/models"]]


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
    assert asked.warm_up_s >= 1  # a slow start must not count


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
