"""A run that is killed and resumed leaves what one undisturbed run leaves."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.replay.asking.client import AskOptions
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunStatus
from clients.replay.tasks.selection import Shard
from tests.unit.replay.reading import EXAMPLES, columns_of, outcomes_of, read_outcomes

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

KILLS = 10


@pytest.fixture
def data(tallyqa: Make, tally: Make) -> Path:
    """A hundred and twenty questions about forty images."""
    folder = tallyqa([tally(number, image=f"VG_100K/{number % 40}.png") for number in range(120)])
    assert isinstance(folder, Path)
    return folder


def command(data: Path, url: str, out: Path) -> list[str]:
    options = ["--task", "tallyqa", "--data", str(data), "--url", url, "--out", str(out), "--resume"]
    return [sys.executable, "-m", "clients.replay", "run", *options, "--concurrency", "3"]


def kill_at_random(data: Path, url: str, out: Path, draw: random.Random) -> None:
    """Start or resume a run, and kill it some time after its first new outcome unless it is done by then."""
    outcomes = out / "outcomes.jsonl"
    before = outcomes.stat().st_size if outcomes.exists() else 0
    process = subprocess.Popen(command(data, url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline_s:
        if outcomes.exists() and outcomes.stat().st_size > before:
            break
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.06))
    process.send_signal(signal.SIGKILL)
    process.wait(30)


@pytest.mark.slow
def test_a_run_killed_and_resumed_ten_times_has_the_same_outcomes(data: Path, url: str, tmp_path: Path) -> None:
    subprocess.run(command(data, url, tmp_path / "undisturbed"), check=True, capture_output=True)
    draw = random.Random(4)
    for _ in range(KILLS):
        kill_at_random(data, url, tmp_path / "killed", draw)
    assert len(read_outcomes(tmp_path / "killed" / "outcomes.jsonl").scored) < 120, "the kills came before the end"
    subprocess.run(command(data, url, tmp_path / "killed"), check=True, capture_output=True)
    assert outcomes_of(tmp_path / "killed") == outcomes_of(tmp_path / "undisturbed")
    record = RunFolder(tmp_path / "killed").read_record()
    assert (record.status, record.resumed) == (RunStatus.FINISHED, KILLS)


@pytest.fixture
def half(data: Path, do_run: Make, tmp_path: Path) -> Path:
    """A run that was half done when killed, with its last line cut short."""
    do_run("tallyqa", data)
    outcomes = tmp_path / "run" / "outcomes.jsonl"
    lines = outcomes.read_bytes().splitlines(keepends=True)
    outcomes.write_bytes(b"".join(lines[:60]) + lines[60][:50])
    return tmp_path / "run"


def test_only_what_is_missing_is_asked(half: Path, data: Path, do_run: Make, service: "FakeService") -> None:
    service.asked.clear()
    summary = do_run("tallyqa", data, resume=True)
    assert (summary.before, summary.answered) == (60, 60)
    assert len(service.asked) == 61, "the first question, and what was missing"
    outcomes = read_outcomes(half / "outcomes.jsonl")
    assert (len(outcomes.ids), max(outcomes.ids.values()), outcomes.torn) == (120, 1, 0)


@given(number=st.integers(0, 7), part=st.floats(0, 1, exclude_max=True))
@settings(EXAMPLES, max_examples=12)
def test_a_run_cut_at_any_byte_can_be_resumed(
    data: Path, do_run: Make, service: "FakeService", tmp_path: Path, number: int, part: float
) -> None:
    outcomes = tmp_path / "run" / "outcomes.jsonl"
    if not outcomes.exists():
        do_run("tallyqa", data, limit=8)
    lines, whole = outcomes.read_bytes().splitlines(keepends=True), outcomes_of(tmp_path / "run")
    outcomes.write_bytes(b"".join(lines[:number]) + lines[number][: int(part * len(lines[number]))])
    service.asked.clear()
    summary = do_run("tallyqa", data, limit=8, resume=True)
    assert (summary.before, summary.answered, len(service.asked)) == (number, 8 - number, 9 - number)
    assert outcomes_of(tmp_path / "run") == whole


def test_resume_starts_a_run_where_there_is_none(data: Path, do_run: Make) -> None:
    assert do_run("tallyqa", data, resume=True).answered == 120


def test_resume_of_a_whole_run_asks_nothing_more(data: Path, do_run: Make, service: "FakeService") -> None:
    do_run("tallyqa", data)
    service.asked.clear()
    assert do_run("tallyqa", data, resume=True).before == 120
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": 7}, "limit was None, is 7"),
        ({"shard": Shard(0, 2)}, "shard was None"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"options": AskOptions(max_new_tokens=9, retries=0)}, "max_new_tokens was None, is 9"),
    ],
)
def test_a_different_run_is_not_resumed(
    half: Path, data: Path, do_run: Make, changes: dict[str, Any], words: str
) -> None:
    before = (half / "outcomes.jsonl").read_bytes()
    with pytest.raises(ReplayError, match=rf"^{half} contains a different run: .*{words}"):
        do_run("tallyqa", data, resume=True, **changes)
    assert (half / "outcomes.jsonl").read_bytes() == before


def test_a_session_leaves_the_record_and_the_kept_images_as_they_were(
    tallyqa: Make, tally: Make, do_run: Make, tmp_path: Path
) -> None:
    data, run = tallyqa([tally(number, image=f"VG_100K/{number}.png") for number in range(60)]), tmp_path / "run"
    do_run("tallyqa", data)
    before, kept = RunFolder(run).read_record(), {path.name for path in (run / "pictures").iterdir()}
    lines = (run / "outcomes.jsonl").read_bytes().splitlines(keepends=True)
    (run / "outcomes.jsonl").write_bytes(b"".join(lines[:50]))
    do_run("tallyqa", data, resume=True, concurrency=9)
    record = RunFolder(run).read_record()
    assert record == before.model_copy(update={"resumed": 1, "ended": record.ended})
    assert before.ended is not None
    assert record.ended is not None
    assert record.ended > before.ended
    assert {path.name for path in (run / "pictures").iterdir()} == kept, "the same 48 of 60"


def test_a_changed_data_set_is_another_run(half: Path, data: Path, do_run: Make) -> None:
    entries = json.loads((data / "test.json").read_text())
    entries[77]["answer"] += 1
    (data / "test.json").write_text(json.dumps(entries))
    with pytest.raises(ReplayError, match="sha256 was"):
        do_run("tallyqa", data, resume=True)
    assert len(read_outcomes(half / "outcomes.jsonl").scored) == 60


def test_failed_questions_can_be_asked_again_and_the_later_line_counts(
    data: Path, do_run: Make, service: "FakeService", tmp_path: Path
) -> None:
    service.answers = {f"How many dogs {number}?": httpx.Response(500, text="oops") for number in range(5)}
    assert do_run("tallyqa", data).failed == 5
    service.answers = {}
    skipped = do_run("tallyqa", data, resume=True)
    assert (skipped.before, skipped.answered) == (120, 0), "a failure is an outcome"
    again = do_run("tallyqa", data, resume=True, retry_failed=True)
    assert (again.before, again.answered) == (115, 5)
    run = columns_of(tmp_path / "run")
    assert (run.n, run.failed) == (120, 0)


def test_a_service_that_is_gone_stops_the_run(data: Path, do_run: Make, service: "FakeService", tmp_path: Path) -> None:
    service.answers = {f"How many dogs {number}?": httpx.ConnectError("refused") for number in range(10, 120)}
    with pytest.raises(ReplayError, match="service is gone"):
        do_run("tallyqa", data, concurrency=1)
    # image n has the questions 0 + n, 40 + n, 80 + n: up to number 9, its first answer ends the series of failures
    failed = len(read_outcomes(tmp_path / "run" / "outcomes.jsonl").failed)
    assert failed == 10 * 2 + 50 - 2
    assert RunFolder(tmp_path / "run").read_record().status is RunStatus.INTERRUPTED
    service.answers = {}
    do_run("tallyqa", data, resume=True, retry_failed=True)
    assert columns_of(tmp_path / "run").n == 120
