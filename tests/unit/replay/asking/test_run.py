"""A whole run against a fake service: order, failures, files on disk."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from clients.replay.asking.client import AnswerClient, AskOptions
from clients.replay.asking.images import blank_image
from clients.replay.asking.retries import Attempts
from clients.replay.asking.runner import RunConfig, run
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.machine import Machine, client_versions
from clients.replay.run.record import RunStatus, Warmup, now
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.selection import Shard
from tests.unit.replay.conftest import MODEL_LIST
from tests.unit.replay.reading import load, read_outcomes

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]


def tally_config(data: Path, tmp_path: Path, concurrency: int) -> RunConfig:
    url, out = "http://127.0.0.1:9", tmp_path / "run"
    return RunConfig(TASKS["tallyqa"], data, url, out, Criteria(split="test"), concurrency, AskOptions(retries=0))


def test_run_json_says_what_it_takes_to_repeat_the_run(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path, tally: Make
) -> None:
    entries = [*json.loads((pictures / "test.json").read_text()), tally(99, image="VG_100K/missing.png")]
    (pictures / "test.json").write_text(json.dumps(entries))
    options = AskOptions(max_patches=64, lens=True, timeout_s=7, max_new_tokens=20, prompt="{question}!", retries=2)
    service.delay_s, began = 0.02, now()
    summary = do_run("tallyqa", pictures, limit=5, seed=3, concurrency=4, options=options, shard=Shard(1, 2))
    record = RunFolder(tmp_path / "run").read_record()
    assert (record.task, record.data, record.status) == ("tallyqa", "tallyqa", RunStatus.FINISHED)
    selection = record.selection
    assert (selection.questions, selection.limit, selection.seed, selection.eligible) == (5, 5, 3, 18)
    assert record.shard is not None
    assert (record.shard.index, record.shard.count, record.shard.questions) == (1, 2, summary.answered)
    assert 0 < summary.answered < 5
    assert (record.url, record.concurrency, record.lens, record.max_patches) == ("http://127.0.0.1:9", 4, True, 64)
    assert (record.max_new_tokens, record.prompt, record.timeout_s, record.retries) == (20, "{question}!", 7, 2)
    assert record.server.model_dump(include={"id", "variant", "revision", "manifest_sha256"}) == MODEL_LIST["data"][0]
    assert [problem.kind.value for problem in record.problems] == ["missing image"]
    assert record.problem_counts == {"missing image": 1}
    assert (record.versions, record.machine) == (client_versions(), Machine.this())
    assert record.warm_up is not None
    assert service.asked[0] == (blank_image().sha256, f"{record.warm_up.question}!")
    assert record.ended is not None
    assert (record.started - began).total_seconds() * 1000 >= record.warm_up.latency_ms >= 20
    assert record.wall_s is not None
    assert 0.02 <= record.wall_s <= (now() - record.started).total_seconds()
    assert 0.02 <= summary.wall_s <= record.wall_s
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text()


def test_the_warm_up_s_time_is_kept_to_the_thousandth(
    pictures: Path, do_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = AnswerClient.ask

    async def timed(*args: Any) -> Attempts:
        return replace(await ask(*args), latency_ms=12.34567)

    monkeypatch.setattr(AnswerClient, "ask", timed)
    do_run("tallyqa", pictures)
    assert RunFolder(tmp_path / "run").read_record().warm_up == Warmup(question="How many?", latency_ms=12.346)


def test_the_selection_s_sum_depends_on_the_questions_alone(pictures: Path, do_run: Make, tmp_path: Path) -> None:
    sums = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        do_run("tallyqa", pictures, limit=7, seed=seed, out=tmp_path / name)
        sums.append(RunFolder(tmp_path / name).read_record().selection.sha256)
    assert sums[0] == sums[1] != sums[2]


def test_a_draw_is_uniform_over_the_whole_split_and_in_its_order(pictures: Path) -> None:
    samples = load("tallyqa", pictures).samples

    def drawn(limit: int, seed: int) -> list[str]:
        with SampleIndex(samples) as index:
            index.draw(limit, seed)
            return [sample.id for sample in index.samples()]

    with SampleIndex(samples) as index:
        ids = [sample.id for sample in index.samples()]
    counts = Counter(name for seed in range(600) for name in drawn(3, seed))
    assert len(counts) == len(samples)
    assert all(60 < count < 140 for count in counts.values()), "each is expected 100 times"
    for seed in range(20):
        places = [ids.index(name) for name in drawn(6, seed)]
        assert places == sorted(places)
    assert drawn(99, 0) == ids


def test_a_folder_that_holds_a_run_is_refused(pictures: Path, service: "FakeService", do_run: Make) -> None:
    do_run("tallyqa", pictures)
    asked = len(service.asked)
    with pytest.raises(ReplayError, match="already contains a run"):
        do_run("tallyqa", pictures)
    assert len(service.asked) == asked, "and nobody was asked"


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (httpx.Response(422, json={"error": {"message": "no lens here", "type": "t"}}), r"no lens here \(HTTP 422\)\."),
        (httpx.ReadTimeout("slow"), r"no answer within 5 s\."),
    ],
    ids=["refused", "slow"],
)
def test_a_service_that_refuses_the_options_stops_the_run_before_it_starts(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path, trouble: object, words: str
) -> None:
    service.answers = {"How many?": trouble}
    with pytest.raises(ReplayError, match=rf"did not answer the warm-up question: {words}"):
        do_run("tallyqa", pictures)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_an_error_with_a_name(pictures: Path, do_run: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReplayError, match="file"):
        do_run("tallyqa", pictures, out=tmp_path / "file" / "run")


def test_nothing_to_ask_is_said(tallyqa: Make, do_run: Make) -> None:
    with pytest.raises(ReplayError, match="No question"):
        do_run("tallyqa", tallyqa([]))


def test_an_image_that_vanishes_during_the_run_is_a_failure_of_its_own(
    pictures: Path, service: "FakeService", tmp_path: Path
) -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        (pictures / "VG_100K" / "3.png").unlink(missing_ok=True)
        response: httpx.Response = await service.transport().handle_async_request(request)
        return response

    config = tally_config(pictures, tmp_path, concurrency=1)
    summary = asyncio.run(run(config, Console(quiet=True), httpx.MockTransport(handler)))
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert (summary.answered, summary.failed) == (15, 3)
    assert [(failed.sample_id, failed.turn) for failed in outcomes.failed] == [("30", 0), ("31", 1), ("32", 2)]
    assert {failed.failure.kind.value for failed in outcomes.failed} == {"picture"}
    assert {failed.failure.message for failed in outcomes.failed} == {"cannot be read: No such file or directory"}
    assert {
        (failed.attempts, failed.latency_ms, failed.waited_ms, failed.sent_at_s, failed.image_sha256)
        for failed in outcomes.failed
    } == {(0, 0, 0, None, None)}, "nobody was asked"


def test_a_run_that_is_stopped_leaves_a_readable_folder(pictures: Path, service: "FakeService", tmp_path: Path) -> None:
    config = tally_config(pictures, tmp_path, concurrency=1)

    async def stopped() -> None:
        six_answered = asyncio.Event()

        async def handler(request: httpx.Request) -> httpx.Response:
            if len(service.asked) == 6:
                six_answered.set()
                await asyncio.Event().wait()
            response: httpx.Response = await service.transport().handle_async_request(request)
            return response

        task = asyncio.create_task(run(config, Console(quiet=True), httpx.MockTransport(handler)))
        await six_answered.wait()
        task.cancel()  # as asyncio.run does on Ctrl-C
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    record = RunFolder(tmp_path / "run").read_record()
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert record.status is RunStatus.INTERRUPTED
    assert len(outcomes.scored) == 5


def test_plain_lines_where_there_is_no_terminal(
    pictures: Path, service: "FakeService", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tally_config(pictures, tmp_path, concurrency=2)
    asyncio.run(run(config, Console(force_terminal=False), service.transport()))
    assert "tallyqa: 18/18" in capsys.readouterr().out


def test_what_an_earlier_session_did_counts_as_done(
    pictures: Path, service: "FakeService", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(tally_config(pictures, tmp_path, concurrency=2), resume=True)
    asyncio.run(run(config, Console(quiet=True), service.transport()))
    outcomes = tmp_path / "run" / "outcomes.jsonl"
    outcomes.write_bytes(b"".join(outcomes.read_bytes().splitlines(keepends=True)[:7]))
    asyncio.run(run(config, Console(force_terminal=False), service.transport()))
    assert "tallyqa: 18/18" in capsys.readouterr().out


def test_skipped_entries_are_reported(
    pictures: Path, service: "FakeService", tmp_path: Path, tally: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [tally(900 + n, image="VG_100K/missing.png") for n in range(2)]
    entries = [*json.loads((pictures / "test.json").read_text()), *missing, tally(0, answer=1)]
    (pictures / "test.json").write_text(json.dumps(entries))
    config = tally_config(pictures, tmp_path, concurrency=2)
    criteria = Criteria(split="test", max_answer=1)
    asyncio.run(run(replace(config, criteria=criteria), Console(force_terminal=True, width=120), service.transport()))
    told = capsys.readouterr().out.splitlines()
    assert "skipped: 2 with missing image (listed in problems.jsonl)" in told
    assert "skipped: 1 with duplicate id (listed in problems.jsonl)" in told
    assert "filtered out: 6 that do not match the selection" in told
    lines = (tmp_path / "run" / "problems.jsonl").read_text().splitlines()
    assert len(lines) == 3


@pytest.fixture
def sixty(tallyqa: Make, tally: Make) -> Path:
    """Sixty questions about one image."""
    folder = tallyqa([tally(number, image="VG_100K/1.png") for number in range(60)])
    assert isinstance(folder, Path)
    return folder


@pytest.mark.parametrize(("lost", "gives_up"), [(49, False), (50, True), (51, True)])
def test_fifty_connections_lost_in_a_row_end_the_run(
    sixty: Path, service: "FakeService", do_run: Make, tmp_path: Path, lost: int, *, gives_up: bool
) -> None:
    trouble = [*range(4), *range(5, 5 + lost)]
    service.answers = {f"How many dogs {number}?": httpx.ConnectError("refused") for number in trouble}
    service.answers["How many dogs 4?"] = httpx.Response(500)  # the count restarts
    with pytest.raises(ReplayError, match=r"^50 connections in a row failed") if gives_up else nullcontext():
        do_run("tallyqa", sixty)
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert len(outcomes.ids) == (55 if gives_up else 60)
    status = RunFolder(tmp_path / "run").read_record().status
    assert status is (RunStatus.INTERRUPTED if gives_up else RunStatus.FINISHED)


def test_forty_nine_connections_lost_from_the_start_do_not_end_it(
    sixty: Path, service: "FakeService", do_run: Make
) -> None:
    service.answers = {f"How many dogs {number}?": httpx.ConnectError("refused") for number in range(49)}
    summary = do_run("tallyqa", sixty)
    assert (summary.answered, summary.failed) == (11, 49)


def test_a_key_that_is_no_longer_accepted_ends_the_run_at_once_and_leaves_nothing_failed(
    sixty: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    service.answers = {f"How many dogs {number}?": httpx.Response(401) for number in range(7, 60)}
    with pytest.raises(ReplayError, match=r"^http://127.0.0.1:9 needs an API key: set TALLYGLASS_API_KEY .* --resume"):
        do_run("tallyqa", sixty)
    assert len(service.asked) == 1 + 8, "the warm-up, and as many as were answered and one"
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert (len(outcomes.scored), len(outcomes.ids)) == (7, 7)
    service.answers = {}
    summary = do_run("tallyqa", sixty, resume=True)
    assert (summary.answered, summary.failed, summary.before) == (53, 0, 7)


def test_a_bar_on_a_terminal(
    pictures: Path, service: "FakeService", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tally_config(pictures, tmp_path, concurrency=2)
    asyncio.run(run(config, Console(force_terminal=True, width=120), service.transport()))
    assert "18/18" in capsys.readouterr().out
