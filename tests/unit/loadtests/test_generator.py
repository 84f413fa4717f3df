"""How late the generator is by itself: which load that is, on which cores, and what is told of it."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

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


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Summary], Plan]]:
    """Measures without a load, and gives the plan; where each process would run is kept beside it."""
    everywhere = os.sched_getaffinity(0)
    plans: list[Plan] = []

    @contextmanager
    def nothing() -> Iterator[str]:
        assert os.sched_getaffinity(0) == (everywhere - {min(everywhere)} or everywhere)
        yield "http://127.0.0.1:1"

    def measure(summary: Summary) -> Plan:
        def run(plan: Plan) -> Summary:
            assert os.sched_getaffinity(0) == {min(everywhere)}
            plans.append(plan)
            return summary

        monkeypatch.setattr(generator, "canned", nothing)
        monkeypatch.setattr(generator, "run", run)
        assert measure_generator(300, 20, tmp_path) is summary
        assert os.sched_getaffinity(0) == everywhere
        return plans[-1]

    yield measure
    os.sched_setaffinity(0, everywhere)


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
    monkeypatch: pytest.MonkeyPatch, measured: Callable[[Summary], Plan], tmp_path: Path
) -> None:
    measured(LATE)

    def fail(_: Plan) -> Summary:
        message = "no"
        raise LoadTestError(message)

    everywhere = os.sched_getaffinity(0)
    monkeypatch.setattr(generator, "run", fail)
    with pytest.raises(LoadTestError, match="no"):
        measure_generator(300, 20, tmp_path)
    assert os.sched_getaffinity(0) == everywhere
