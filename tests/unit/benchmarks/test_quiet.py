"""Tries are selected only by how quiet the machine was."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from benchmarks.quiet import _used_s, calm_tries


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Sets the CPU use of others during each try, in percent of the machine; a try takes one core for a second."""

    def set_shares(shares: list[float]) -> None:
        clock = itertools.count(0.0, 1.0)

        def others() -> Iterator[float]:
            total = 0.0
            for share in shares:
                yield total
                total += share / 100
                yield total

        used = others()
        monkeypatch.setattr("benchmarks.quiet.time.monotonic", lambda: next(clock))
        monkeypatch.setattr("benchmarks.quiet.time.sleep", lambda _: None)
        monkeypatch.setattr("benchmarks.quiet.psutil.cpu_count", lambda: 1)
        monkeypatch.setattr("benchmarks.quiet._others_s", lambda _: next(used))

    return set_shares


def test_disturbed_tries_are_repeated_and_left_out(spent: Callable[[list[float]], None]) -> None:
    spent([50, 1, 60, 2, 3])
    values = itertools.count()
    tries = calm_tries(lambda: next(values), wanted=3, patience_s=1000)
    assert sorted(tries.values) == [1, 3, 4]
    assert tries.disturbed_percent == pytest.approx(3)


def test_when_patience_ends_the_calmest_are_taken_and_say_so(spent: Callable[[list[float]], None]) -> None:
    spent([50, 40, 60, 30, 20, 45])
    values = itertools.count()
    tries = calm_tries(lambda: next(values), wanted=2, patience_s=0)
    assert sorted(tries.values) == [0, 1]
    assert tries.disturbed_percent == pytest.approx(50)


@pytest.mark.parametrize(("share", "tries"), [(3.9, 1), (4.0, 1), (4.1, 2)])
def test_a_try_is_calm_up_to_four_percent(spent: Callable[[list[float]], None], share: float, tries: int) -> None:
    spent([share, 1.0])
    values = itertools.count(1)
    assert calm_tries(lambda: next(values), wanted=1, patience_s=1000).values == [tries]


def test_less_than_nothing_was_not_used_by_others(spent: Callable[[list[float]], None]) -> None:
    """The clocks of the machine and of its processes are not in step."""
    spent([-5, 2])
    tries = calm_tries(lambda: "x", wanted=2, patience_s=1000)
    assert tries.disturbed_percent == pytest.approx(2)


def test_the_machine_is_left_alone_for_a_while_after_a_disturbed_try_only(
    spent: Callable[[list[float]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent([50, 1, 60, 2])
    pauses: list[float] = []
    monkeypatch.setattr("benchmarks.quiet.time.sleep", pauses.append)
    calm_tries(lambda: 0, wanted=2, patience_s=1000)
    assert pauses == [2.0, 2.0]


def test_what_a_child_used_is_still_known_when_it_has_ended() -> None:
    """If it were not counted, it would look like a busy neighbour."""
    busy = "import time\nwhile time.process_time() < 1.5: pass"
    before_s = _used_s(psutil.Process().cpu_times())
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert 1.4 < _used_s(psutil.Process().cpu_times()) - before_s < 3
