"""The run folder: the contents of each file, and that files are written atomically."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunStatus, now
from clients.replay.tasks.sample import SkippedEntry, SkipReason
from tests.unit.replay.reading import full_record

MISSING, DUPLICATE = SkipReason.MISSING_IMAGE, SkipReason.DUPLICATE_ID


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "deep" / "run")


def test_the_folder_is_made_with_its_parents_and_may_be_there(folder: RunFolder) -> None:
    for _ in range(2):
        folder.create()
    assert [path.name for path in folder.path.iterdir()] == ["pictures"]


@pytest.mark.parametrize("name", ["run.json", "outcomes.jsonl"])
def test_either_file_of_a_run_makes_a_folder_taken(folder: RunFolder, name: str) -> None:
    folder.create()
    folder.require_free()
    (folder.path / name).write_text("")
    with pytest.raises(ReplayError, match="already contains a run"):
        folder.require_free()


def test_every_problem_is_written_counted_by_kind_and_the_first_twenty_of_each_named(folder: RunFolder) -> None:
    folder.create()
    problems = [SkippedEntry(DUPLICATE if n % 3 else MISSING, f"Ä{n}", f"d{n}") for n in range(63)]
    named, counts = folder.write_problems(iter(problems))
    assert counts == {"missing image": 21, "duplicate id": 42}
    assert named == tuple(problems[n] for n in range(58) if n % 3 == 0 or n < 30)
    lines = folder.problems.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"kind": problem.kind.value, "where": problem.where, "detail": problem.detail} for problem in problems
    ]
    assert "Ä62" in lines[62], "readable as it is"
    assert {path.name for path in folder.path.iterdir()} == {"pictures", "problems.jsonl"}


def test_without_a_problem_there_is_no_file(folder: RunFolder) -> None:
    folder.create()
    assert folder.write_problems([]) == ((), {})
    assert [path.name for path in folder.path.iterdir()] == ["pictures"]


def test_problems_that_break_off_leave_no_half_of_the_file(folder: RunFolder) -> None:
    def breaking() -> Iterator[SkippedEntry]:
        yield SkippedEntry(MISSING, "a", "b")
        raise OSError(5, "Input/output error")

    folder.create()
    with pytest.raises(ReplayError, match=r"problems\.jsonl cannot be written: Input/output error"):
        folder.write_problems(breaking())
    assert not folder.problems.exists()


def test_a_record_is_read_as_it_was_written_whatever_was_there(folder: RunFolder) -> None:
    folder.create()
    for record in (full_record(merged=3, problem_counts={"missing image": 4}), full_record(data="Äpfel", ended=None)):
        folder.write_record(record)
        assert folder.read_record() == record
    assert "Äpfel" in folder.record.read_text(encoding="utf-8")
    assert not list(folder.path.glob("*.part"))


def test_a_record_that_cannot_be_written_leaves_the_one_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text[:50].encode())
        raise OSError(28, "No space left on device")

    folder.create()
    folder.write_record(full_record())
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ReplayError, match=r"run\.json cannot be written: No space left on device"):
        folder.write_record(full_record(concurrency=9))
    assert folder.read_record() == full_record()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not a run folder"),
        ("", "is not a run record: Invalid JSON"),
        ("{}", "is not a run record: Field req"),
    ],
)
def test_an_invalid_record_is_reported(folder: RunFolder, content: str | None, words: str) -> None:
    folder.create()
    if content is not None:
        folder.record.write_text(content)
    with pytest.raises(ReplayError, match=words):
        folder.read_record()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_full_record_a_newer_client_reads(folder: RunFolder, encoding: str) -> None:
    folder.create()
    told = json.loads(full_record().model_dump_json())
    newer = {**told, "tomorrow": 1, "selection": {**told["selection"], "tomorrow": 2}}
    folder.record.write_text(json.dumps(newer), encoding=encoding)
    assert folder.read_record() == full_record()


def test_a_run_s_time_is_in_seconds_and_unknown_if_it_was_killed() -> None:
    record = full_record(started="2026-01-01T10:00:00.250Z", ended="2026-01-03T10:01:30.500Z")
    assert record.wall_s == 2 * 86400 + 90.25
    assert full_record(ended=None).wall_s is None


def test_a_shard_s_questions_are_its_own() -> None:
    assert full_record().questions == 90
    assert full_record(shard={"index": 1, "count": 3, "questions": 31}).questions == 31


def test_a_run_that_is_taken_up_runs_and_has_no_end() -> None:
    record = full_record(resumed=4, status="interrupted")
    assert record.taken_up() == full_record(resumed=5, status="running", ended=None)


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_run_that_ends_ends_now(status: RunStatus) -> None:
    before, record = now(), full_record(ended=None, status="running").finished(status)
    assert record.ended is not None
    assert before <= record.ended <= now()
    assert record == full_record(ended=record.ended, status=status)


def test_times_are_in_utc_to_the_millisecond() -> None:
    for _ in range(5):
        before, moment, after = datetime.now(UTC), now(), datetime.now(UTC)
        assert before - timedelta(milliseconds=1) < moment <= after
        assert (moment.microsecond % 1000, moment.utcoffset()) == (0, timedelta(0))
