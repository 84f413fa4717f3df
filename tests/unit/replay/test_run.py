"""A whole run against a service that is a function: order, failures, what is left on disk."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from clients.replay.client import AskOptions
from clients.replay.errors import ReplayError
from clients.replay.folder import RunFolder
from clients.replay.index import SampleIndex
from clients.replay.record import Criteria, RunStatus
from clients.replay.run import RunConfig, run
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import load, read_outcomes

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

REFUSAL = httpx.Response(415, json={"error": {"message": "not a picture", "type": "t", "code": "unsupported_image"}})


def tally_config(data: Path, tmp_path: Path, concurrency: int) -> RunConfig:
    url, out = "http://127.0.0.1:9", tmp_path / "run"
    return RunConfig(TASKS["tallyqa"], data, url, out, Criteria(split="test"), concurrency, AskOptions(retries=0))


@pytest.fixture
def pictures(tallyqa: Make, tally: Make) -> Path:
    """Six pictures with three questions each, listed question by question."""
    entries = [tally(10 * n + q, image=f"VG_100K/{n}.png", answer=q) for q in range(3) for n in range(6)]
    folder = tallyqa(entries)
    assert isinstance(folder, Path)
    return folder


def test_questions_of_a_picture_are_asked_in_a_row(pictures: Path, service: "FakeService", do_run: Make) -> None:
    do_run("tallyqa", pictures, concurrency=1)
    asked = [digest for digest, _ in service.asked[1:]]  # the first is the warm-up
    changes = sum(before != after for before, after in pairwise(asked))
    assert len(asked) == 18
    assert changes == 5, "each picture is left once"


def test_a_picture_s_questions_keep_their_order_with_several_workers(
    pictures: Path, service: "FakeService", do_run: Make
) -> None:
    do_run("tallyqa", pictures, concurrency=3)
    by_digest: dict[str, list[str]] = {}
    for digest, question in service.asked[1:]:
        by_digest.setdefault(digest, []).append(question)
    assert all(questions == sorted(questions) and len(questions) == 3 for questions in by_digest.values())
    assert service.most_at_once == 3


def test_failures_stay_apart_and_do_not_stop_the_run(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    service.answers = {"How many dogs 0?": "0", "How many dogs 11?": REFUSAL, "How many dogs 22?": httpx.ReadError("x")}
    summary = do_run("tallyqa", pictures)
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert (summary.answered, summary.failed) == (16, 2)
    assert Counter(failed.failure.kind.value for failed in outcomes.failed) == {"http status": 1, "connection": 1}
    assert {scored.answer for scored in outcomes.scored} == {"0", "?"}


def test_the_lens_comes_back_with_the_outcome(
    pictures: Path, service: "FakeService", do_run: Make, lens_reply: Make, tmp_path: Path
) -> None:
    service.answers = {"How many dogs 0?": lens_reply("0", [("a", 0.5)], [("0", 0.9)])}
    do_run("tallyqa", pictures, options=AskOptions(lens=True))
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    (traced,) = (scored.lens for scored in outcomes.scored if scored.lens)
    assert [layer.tokens[0] for layer in traced.layers] == ["a", "0"]
    assert all(body["lens"] == {"top_k": 5, "tokens": "first"} for body in service.bodies)


def test_run_json_says_what_it_takes_to_repeat_the_run(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path, tally: Make
) -> None:
    entries = [*json.loads((pictures / "test.json").read_text()), tally(99, image="VG_100K/missing.png")]
    (pictures / "test.json").write_text(json.dumps(entries))
    do_run("tallyqa", pictures, limit=5, seed=3)
    record = RunFolder(tmp_path / "run").read_record()
    assert (record.task, record.data, record.status) == ("tallyqa", "tallyqa", RunStatus.FINISHED)
    assert (record.selection.questions, record.selection.limit, record.selection.seed) == (5, 5, 3)
    assert (record.server.id, record.server.variant) == ("m", "fp32")
    assert [problem.kind.value for problem in record.problems] == ["missing image"]
    assert record.wall_s is not None
    assert record.warm_up is not None
    assert service.asked[0][1] == record.warm_up.question
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text()


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
    with pytest.raises(ReplayError, match="already holds a run"):
        do_run("tallyqa", pictures)
    assert len(service.asked) == asked, "and nobody was asked"


def test_a_service_that_refuses_the_options_stops_the_run_before_it_starts(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    service.answers = {"How many?": httpx.Response(422, json={"error": {"message": "no lens here", "type": "t"}})}
    with pytest.raises(ReplayError, match="no lens here"):
        do_run("tallyqa", pictures)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_an_error_with_a_name(pictures: Path, do_run: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReplayError, match="file"):
        do_run("tallyqa", pictures, out=tmp_path / "file" / "run")


def test_what_is_no_picture_is_asked_about_all_the_same(pictures: Path, service: "FakeService", do_run: Make) -> None:
    (pictures / "VG_100K" / "0.png").write_text("no picture")
    assert do_run("tallyqa", pictures).answered == 18
    assert len(service.asked) == 19


def test_nothing_to_ask_is_said(tallyqa: Make, do_run: Make) -> None:
    with pytest.raises(ReplayError, match="No question"):
        do_run("tallyqa", tallyqa([]))


def test_a_picture_that_vanishes_during_the_run_is_a_failure_of_its_own(
    pictures: Path, service: "FakeService", tmp_path: Path
) -> None:
    async def handler(request: httpx.Request) -> httpx.Response:
        (pictures / "VG_100K" / "3.png").unlink(missing_ok=True)
        response: httpx.Response = await service.transport().handle_async_request(request)
        return response

    config = tally_config(pictures, tmp_path, concurrency=1)
    summary = asyncio.run(run(config, Console(quiet=True), httpx.MockTransport(handler)))
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert summary.failed == 3
    assert {failed.failure.kind.value for failed in outcomes.failed} == {"picture"}


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


def test_a_bar_on_a_terminal(
    pictures: Path, service: "FakeService", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tally_config(pictures, tmp_path, concurrency=2)
    asyncio.run(run(config, Console(force_terminal=True, width=120), service.transport()))
    assert "18/18" in capsys.readouterr().out
