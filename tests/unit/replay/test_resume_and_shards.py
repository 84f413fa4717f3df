"""A run that is killed, gone on with, or split: what is left is what one undisturbed run leaves."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.errors import ReplayError
from clients.replay.folder import RunFolder
from clients.replay.merge import merge
from clients.replay.record import RunStatus
from clients.replay.report import report_runs
from clients.replay.run import HOPELESS_AFTER
from clients.replay.selection import Shard
from tests.unit.replay.reading import columns_of, read_outcomes

if TYPE_CHECKING:
    from clients.replay.outcomes import Failed, Scored
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

MEASURED = {"latency_ms", "sent_at_s", "waited_ms", "attempts", "timing", "turn"}
KILLS = 10


def outcomes_of(run: Path) -> set[str]:
    """A run's outcomes as a set, without what a clock measured."""
    found = read_outcomes(run / "outcomes.jsonl")
    outcomes: Iterable[Scored | Failed] = (*found.scored, *found.failed)
    lines = [json.dumps(outcome.model_dump(mode="json", exclude=MEASURED), sort_keys=True) for outcome in outcomes]
    assert len(set(lines)) == len(lines), "nothing is there twice"
    return set(lines)


@pytest.fixture
def data(tallyqa: Make, tally: Make) -> Path:
    """A hundred and twenty questions about forty pictures."""
    folder = tallyqa([tally(number, image=f"VG_100K/{number % 40}.png") for number in range(120)])
    assert isinstance(folder, Path)
    return folder


def command(data: Path, url: str, out: Path) -> list[str]:
    options = ["--task", "tallyqa", "--data", str(data), "--url", url, "--out", str(out), "--resume"]
    return [sys.executable, "-m", "clients.replay", "run", *options, "--concurrency", "3"]


def kill_at_random(data: Path, url: str, out: Path, draw: random.Random) -> None:
    """Start or go on, and kill it some time after its first new outcome, if it is not done by then."""
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


def test_killed_ten_times_and_gone_on_with_it_leaves_the_very_outcomes(data: Path, url: str, tmp_path: Path) -> None:
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
    """A run of which a kill left half, its last line cut short."""
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
    ],
)
def test_another_run_is_not_gone_on_with(
    half: Path, data: Path, do_run: Make, changes: dict[str, Any], words: str
) -> None:
    before = (half / "outcomes.jsonl").read_bytes()
    with pytest.raises(ReplayError, match=words):
        do_run("tallyqa", data, resume=True, **changes)
    assert (half / "outcomes.jsonl").read_bytes() == before


def test_a_run_is_not_gone_on_with_against_another_model(half: Path, data: Path, do_run: Make) -> None:
    record = json.loads((half / "run.json").read_text())
    record["server"]["manifest_sha256"] = "cd"
    (half / "run.json").write_text(json.dumps(record))
    with pytest.raises(ReplayError, match="server"):
        do_run("tallyqa", data, resume=True)


def test_failed_questions_are_asked_again_when_told_to_and_the_later_line_counts(
    data: Path, do_run: Make, service: "FakeService", tmp_path: Path
) -> None:
    service.answers = {f"How many dogs {number}?": httpx.Response(500, text="oops") for number in range(5)}
    assert do_run("tallyqa", data).failed == 5
    service.answers = {}
    assert do_run("tallyqa", data, resume=True).answered == 0, "a failure is an outcome"
    assert do_run("tallyqa", data, resume=True, retry_failed=True).answered == 5
    run = columns_of(tmp_path / "run")
    assert (run.n, run.failed) == (120, 0)


def test_a_service_that_is_gone_stops_the_run(data: Path, do_run: Make, service: "FakeService", tmp_path: Path) -> None:
    service.answers = {f"How many dogs {number}?": httpx.ConnectError("refused") for number in range(10, 120)}
    with pytest.raises(ReplayError, match="service is gone"):
        do_run("tallyqa", data, concurrency=1)
    assert HOPELESS_AFTER <= len(read_outcomes(tmp_path / "run" / "outcomes.jsonl").failed) < 110
    assert RunFolder(tmp_path / "run").read_record().status is RunStatus.INTERRUPTED
    service.answers = {}
    do_run("tallyqa", data, resume=True, retry_failed=True)
    assert columns_of(tmp_path / "run").n == 120


@pytest.fixture
def shards(data: Path, do_run: Make, tmp_path: Path) -> list[Path]:
    """Three shards of a run over a hundred questions."""
    for number in range(3):
        do_run("tallyqa", data, shard=Shard(number, 3), limit=100, out=tmp_path / f"s{number}")
    return [tmp_path / f"s{number}" for number in range(3)]


def test_merged_shards_are_the_run(shards: list[Path], data: Path, do_run: Make, tmp_path: Path) -> None:
    do_run("tallyqa", data, limit=100, out=tmp_path / "whole")
    merge(shards, tmp_path / "merged")
    assert outcomes_of(tmp_path / "merged") == outcomes_of(tmp_path / "whole")
    merged, whole = (RunFolder(tmp_path / name).read_record() for name in ("merged", "whole"))
    assert merged.selection == whole.selection
    assert (merged.merged, merged.shard, merged.status, merged.concurrency) == (3, None, RunStatus.FINISHED, 6)
    kept = {path.name for path in (tmp_path / "merged" / "pictures").iterdir()}
    assert kept == {path.name for path in (tmp_path / "whole" / "pictures").iterdir()}
    (report,) = report_runs([tmp_path / "merged"], tmp_path / "report", seed=0)
    assert (report.answered, report.unasked) == (100, 0)


def test_a_shard_that_was_killed_shows_in_the_merged_run(shards: list[Path], tmp_path: Path) -> None:
    outcomes = shards[1] / "outcomes.jsonl"
    whole = Counter(outcomes.read_bytes())
    outcomes.write_bytes(outcomes.read_bytes()[:-30])
    record = json.loads((shards[1] / "run.json").read_text())
    (shards[1] / "run.json").write_text(json.dumps({**record, "status": "running", "ended": None}))
    assert whole
    merge(shards, tmp_path / "merged")
    (report,) = report_runs([tmp_path / "merged"], tmp_path / "report", seed=0)
    assert (report.answered, report.unasked, report.torn_lines) == (99, 1, 0)
    assert report.record.status is RunStatus.INTERRUPTED


def test_what_does_not_make_a_whole_is_refused(shards: list[Path], data: Path, do_run: Make, tmp_path: Path) -> None:
    do_run("tallyqa", data, out=tmp_path / "whole")
    do_run("tallyqa", data, shard=Shard(2, 3), limit=99, out=tmp_path / "other")
    for given, words in (
        (shards[:2], "2/3 is missing"),
        ([*shards, shards[0]], "0/3 is there twice"),
        ([tmp_path / "whole"], "is no shard"),
        ([*shards[:2], tmp_path / "other"], "limit was 99, is 100"),
    ):
        with pytest.raises(ReplayError, match=words):
            merge(given, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_was_killed_is_done_anew_and_one_that_was_done_is_left(shards: list[Path], tmp_path: Path) -> None:
    """As a Job on Kubernetes does that is tried again."""
    out = tmp_path / "merged"
    out.mkdir()
    (out / "outcomes.jsonl").write_text("half a li")
    merge(shards, out)
    merged, written_ns = outcomes_of(out), (out / "outcomes.jsonl").stat().st_mtime_ns
    merge(shards, out)
    assert (outcomes_of(out), (out / "outcomes.jsonl").stat().st_mtime_ns) == (merged, written_ns)
    record = RunFolder(out).read_record()
    RunFolder(out).write_record(record.model_copy(update={"concurrency": record.concurrency + 1}))
    with pytest.raises(ReplayError, match="already holds a run"):
        merge(shards, out)


def test_merge_on_the_command_line(shards: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["merge", *map(str, shards), "--out", str(tmp_path / "merged")])
    assert (result.exit_code, "3 shards of 100 questions" in result.output) == (0, True), result.output
    assert CliRunner().invoke(app, ["merge", str(shards[0]), "--out", str(tmp_path / "again")]).exit_code == 1
