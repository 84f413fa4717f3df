"""Progress of a run: lines at intervals, counts, and the rate of this session only."""

import io
import re
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from clients.replay.asking.progress import progress

Clock = Callable[[float], None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the clock to this many seconds after the start, which is at 1000."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    return lambda seconds: monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + seconds)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def test_a_line_every_ten_seconds_and_at_the_end(console: Console, at: Clock) -> None:
    with progress(console, "tallyqa", total=8) as tick:
        for seconds, failed in [(4, False), (9.9, True), (10, False), (19.9, False), (20, True)]:
            at(seconds)
            tick(failed=failed)
        assert lines(console) == [
            "tallyqa: 3/8, 0.3/s, 1 failed, 17 s left",
            "tallyqa: 5/8, 0.2/s, 2 failed, 12 s left",
        ]
        for seconds in (21, 22, 25):
            at(seconds)
            tick(failed=False)
    assert lines(console)[2:] == ["tallyqa: 8/8, 0.3/s, 2 failed, 0 s left"]


def test_what_an_earlier_session_did_counts_as_done_but_not_for_the_rate(console: Console, at: Clock) -> None:
    with progress(console, "realcqa", total=100, before=60) as tick:
        for _ in range(4):
            at(5)
            tick(failed=False)
        at(10)
        tick(failed=False)
    assert lines(console) == ["realcqa: 65/100, 0.5/s, 0 failed, 70 s left"]


def test_a_line_stays_one_line_without_colours_however_narrow_the_console_is(at: Clock) -> None:
    console = Console(file=io.StringIO(), width=20, color_system="standard")
    with progress(console, "tallyqa", total=1) as tick:
        at(2)
        tick(failed=True)
    assert lines(console) == ["tallyqa: 1/1, 0.5/s, 1 failed, 0 s left"]


def test_a_terminal_shows_a_bar_between_the_title_and_the_same_figures(at: Clock) -> None:
    def now_s() -> float:
        return time.monotonic()

    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None, get_time=now_s)
    with progress(console, "tallyqa", total=10, before=2) as tick:
        for seconds, failed in [(1, True), (2, False), (4, True)]:
            at(seconds)
            tick(failed=failed)
    shown = [
        re.fullmatch("(.*?)([━╸╺ ]+)(.*)", frame.rstrip())
        for frame in re.split(r"\x1b\[[?0-9]*[a-zA-Z]", file.getvalue())
    ]
    first, *_, last = (frame.groups() for frame in shown if frame)
    assert [part for part in first if part.strip("━╸╺ ")] == ["tallyqa", "2/10 0.0/s 0 failed 0:00:00 -:--:--"]
    assert [part for part in last if part.strip("━╸╺ ")] == ["tallyqa", "5/10 0.8/s 2 failed 0:00:04 0:00:08"]
    assert 0 < first[1].count("━") < last[1].count("━")
