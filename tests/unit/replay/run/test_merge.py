"""Merged shards equal a single run over the whole selection."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.errors import ReplayError
from clients.replay.report import report_runs
from clients.replay.run.folder import RunFolder
from clients.replay.run.merge import merge
from clients.replay.run.record import RunStatus
from clients.replay.tasks.selection import Shard
from tests.unit.replay.reading import EXAMPLES, full_record, outcomes_of

if TYPE_CHECKING:
    from clients.replay.run.record import RunRecord

Make = Callable[..., Any]

LINES = ((b"a\n", b"bb\n", b"ccc\n"), (b"d\n",), ("drei 三\n".encode(), b"f\n"))


def shard(path: Path, index: int, content: bytes, count: int = 3, **changes: object) -> Path:
    """The folder of a shard with these lines, one image of its own and one that all shards have."""
    folder = RunFolder(path)
    folder.create()
    hour = {"started": f"2026-01-01T1{index}:00:00Z", "ended": f"2026-01-01T1{index}:50:00Z"}
    part = {"index": index, "count": count, "questions": 30 + index}
    fields = {"shard": part, "resumed": index + 1, "concurrency": 10 * (index + 1), **hour}
    folder.write_record(full_record(**{**fields, **changes}))
    folder.outcomes.write_bytes(content)
    for name in ("common", str(index)):
        (folder.pictures / f"{name}.webp").write_bytes(name.encode())
    folder.problems.write_bytes(b"problems of all\n")
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three shards, written by hand."""
    return [shard(tmp_path / f"s{index}", index, b"".join(lines)) for index, lines in enumerate(LINES)]


@given(
    shards=st.lists(st.tuples(st.lists(st.binary(max_size=9)), st.binary(max_size=5)), min_size=1, max_size=4).flatmap(
        lambda parts: st.permutations(list(enumerate(parts)))
    )
)
@settings(EXAMPLES, max_examples=25)
def test_shards_in_any_order_give_all_their_whole_lines_and_one_record(
    shards: list[tuple[int, tuple[list[bytes], bytes]]], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    folders, whole = [], []
    for index, (lines, torn) in shards:
        ended = [line.replace(b"\n", b"") + b"\n" for line in lines]
        content = b"".join(ended) + torn.replace(b"\n", b"")
        folders.append(shard(tmp_path / "runs" / str(index), index, content, len(shards)))
        whole += ended
    record = merge(folders, tmp_path / "runs" / "merged")
    merged, n = RunFolder(tmp_path / "runs" / "merged"), len(shards)
    assert merged.outcomes.read_bytes() == b"".join(whole)
    assert {path.name for path in merged.pictures.iterdir()} == {"common.webp", *(f"{i}.webp" for i in range(n))}
    assert merged.read_record() == record
    assert record == full_record(
        merged=n,
        resumed=n * (n + 1) / 2,
        concurrency=10 * n * (n + 1) / 2,
        started="2026-01-01T10:00:00Z",
        ended=f"2026-01-01T1{n - 1}:50:00Z",
    )


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2_500_000])
def test_a_large_shard_is_copied_whole_but_for_its_torn_line(size: int, tmp_path: Path) -> None:
    content = bytes(range(33, 127)) * (size // 94 + 1)
    large = shard(tmp_path / "s0", 0, content[: size - 1] + b"\n" + b"torn" * 20, count=1)
    merge([large], tmp_path / "merged")
    assert (tmp_path / "merged" / "outcomes.jsonl").read_bytes() == content[: size - 1] + b"\n"


def test_a_merge_leaves_no_drafts_and_no_shard_changed(three: list[Path], tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = [contents(path) for path in three]
    merge(three, tmp_path / "merged")
    merged = contents(tmp_path / "merged")
    assert sorted(merged) == [
        "outcomes.jsonl",
        *(f"pictures/{name}.webp" for name in (0, 1, 2, "common")),
        "problems.jsonl",
        "run.json",
    ]
    assert (merged["pictures/1.webp"], merged["problems.jsonl"]) == (b"1", b"problems of all\n")
    assert [contents(path) for path in three] == before


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("changes", "status", "ended"),
    [
        ({"status": "running", "ended": None}, RunStatus.INTERRUPTED, False),
        ({"status": "interrupted"}, RunStatus.INTERRUPTED, True),
        ({}, RunStatus.FINISHED, True),
    ],
    ids=["killed", "stopped", "finished"],
)
def test_one_shard_that_did_not_finish_shows_in_the_whole(
    place: int, changes: dict[str, Any], status: RunStatus, *, ended: bool, tmp_path: Path
) -> None:
    shards = [shard(tmp_path / f"s{i}", i, b"", **(changes if i == place else {})) for i in range(3)]
    record = merge(shards, tmp_path / "merged")
    assert (record.status, record.ended is not None) == (status, ended)


def test_a_shard_that_was_killed_before_its_first_outcome_is_one_without_outcomes(
    three: list[Path], tmp_path: Path
) -> None:
    (three[1] / "outcomes.jsonl").unlink()
    (three[0] / "problems.jsonl").unlink()
    merge(three, tmp_path / "merged")
    assert (tmp_path / "merged" / "outcomes.jsonl").read_bytes() == b"".join((*LINES[0], *LINES[2]))
    assert not (tmp_path / "merged" / "problems.jsonl").exists()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([(0, 3), (1, 3)], "Each of the 3 shards is needed once: 2/3 is missing."),
        ([(1, 3)], "Each of the 3 shards is needed once: 0/3 is missing, 2/3 is missing."),
        ([(2, 3), (0, 3), (0, 3), (1, 3)], "Each of the 3 shards is needed once: 0/3 is given twice."),
        ([(0, 3), (2, 3), (2, 3)], "Each of the 3 shards is needed once: 1/3 is missing, 2/3 is given twice."),
        ([(0, 2), (1, 3), (2, 3)], "Each of the 3 shards is needed once: they have different counts."),
        ([(0, 2), (1, 4)], "Each of the 4 shards is needed once: 2/4 is missing, 3/4 is missing."),
    ],
)
def test_incomplete_or_duplicate_shards_are_reported(parts: list[tuple[int, int]], words: str, tmp_path: Path) -> None:
    shards = [shard(tmp_path / f"s{place}", index, b"", count) for place, (index, count) in enumerate(parts)]
    with pytest.raises(ReplayError) as refused:
        merge(shards, tmp_path / "merged")
    assert str(refused.value) == words
    assert not (tmp_path / "merged").exists()


def test_a_folder_that_is_not_a_shard_of_the_run_is_reported(three: list[Path], tmp_path: Path) -> None:
    whole = shard(tmp_path / "whole", 1, b"", shard=None)
    other = shard(tmp_path / "other", 1, b"", max_patches=65)
    for given_, words in (
        ([three[0], whole, three[2]], f"^{whole} is not a shard: only runs made with --shard can be merged."),
        ([three[0], other, three[2]], f"{other} contains a different run: max_patches was 65, is 64"),
        ([three[0], tmp_path / "nowhere"], f"{tmp_path / 'nowhere'} is not a run folder"),
    ):
        with pytest.raises(ReplayError, match=words):
            merge(given_, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_breaks_off_has_no_record_and_is_done_anew(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "there")

    merged = RunFolder(tmp_path / "merged")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(ReplayError, match=rf"merged into {merged.path}: No space left on device \(there\)\."):
            merge(three, merged.path)
    assert not merged.record.exists()
    assert not merged.outcomes.exists(), "what is half written has another name"
    merge(three, merged.path)
    assert merged.outcomes.read_bytes() == b"".join(sum(LINES, ()))
    assert not list(merged.path.glob("*.part"))


def test_a_merge_that_was_done_is_left_and_another_run_s_folder_too(three: list[Path], tmp_path: Path) -> None:
    merged = RunFolder(tmp_path / "merged")
    record = merge(three, merged.path)
    merged.outcomes.write_bytes(b"as it was")
    assert merge(three, merged.path) == record
    assert merged.outcomes.read_bytes() == b"as it was"
    other: RunRecord = record.model_copy(update={"concurrency": record.concurrency + 1})
    merged.write_record(other)
    with pytest.raises(ReplayError, match="already contains a run"):
        merge(three, merged.path)
    assert (merged.read_record(), merged.outcomes.read_bytes()) == (other, b"as it was")


@pytest.fixture
def data(tallyqa: Make, tally: Make) -> Path:
    """Thirty questions about eleven images."""
    folder = tallyqa([tally(number, image=f"VG_100K/{number % 11}.png") for number in range(30)])
    assert isinstance(folder, Path)
    return folder


@pytest.fixture
def shards(data: Path, do_run: Make, tmp_path: Path) -> list[Path]:
    """Three shards of a run over twenty-five questions."""
    for number in range(3):
        do_run("tallyqa", data, shard=Shard(number, 3), limit=25, out=tmp_path / f"s{number}")
    return [tmp_path / f"s{number}" for number in range(3)]


def test_merged_shards_are_the_run(shards: list[Path], data: Path, do_run: Make, tmp_path: Path) -> None:
    do_run("tallyqa", data, limit=25, out=tmp_path / "whole")
    merge(shards, tmp_path / "merged")
    assert outcomes_of(tmp_path / "merged") == outcomes_of(tmp_path / "whole")
    merged, whole = (RunFolder(tmp_path / name).read_record() for name in ("merged", "whole"))
    assert merged.selection == whole.selection
    assert (merged.merged, merged.shard, merged.status, merged.concurrency) == (3, None, RunStatus.FINISHED, 6)
    kept = {path.name for path in (tmp_path / "merged" / "pictures").iterdir()}
    assert kept == {path.name for path in (tmp_path / "whole" / "pictures").iterdir()}
    (report,) = report_runs([tmp_path / "merged"], tmp_path / "report", seed=0)
    assert (report.answered, report.unasked) == (25, 0)


def test_a_shard_that_was_killed_shows_in_the_merged_run(shards: list[Path], tmp_path: Path) -> None:
    outcomes = shards[1] / "outcomes.jsonl"
    outcomes.write_bytes(outcomes.read_bytes()[:-30])
    record = json.loads((shards[1] / "run.json").read_text())
    (shards[1] / "run.json").write_text(json.dumps({**record, "status": "running", "ended": None}))
    merge(shards, tmp_path / "merged")
    (report,) = report_runs([tmp_path / "merged"], tmp_path / "report", seed=0)
    assert (report.answered, report.unasked, report.torn_lines) == (24, 1, 0)
    assert report.record.status is RunStatus.INTERRUPTED


def test_merge_on_the_command_line(three: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["merge", *map(str, three), "--out", str(tmp_path / "merged")])
    assert (result.exit_code, "3 shards of 90 questions" in result.output) == (0, True), result.output
    assert CliRunner().invoke(app, ["merge", str(three[0]), "--out", str(tmp_path / "again")]).exit_code == 1
