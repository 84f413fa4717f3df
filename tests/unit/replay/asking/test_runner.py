"""The order and concurrency of questions, and the contents of each outcome."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import numpy as np
import pytest

from clients.replay.asking.client import AnswerClient, AskOptions
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.loop import replay
from clients.replay.asking.retries import Attempts
from clients.replay.run.outcomes import Failure, FailureKind, Outcome
from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks.sample import Sample
from tests.unit.replay.conftest import reply
from tests.unit.replay.reading import columns_of, read_outcomes

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

REFUSAL = httpx.Response(415, json={"error": {"message": "not an image", "type": "t", "code": "unsupported_image"}})


def test_questions_of_an_image_are_asked_in_a_row(pictures: Path, service: "FakeService", do_run: Make) -> None:
    do_run("tallyqa", pictures, concurrency=1)
    asked = [digest for digest, _ in service.asked[1:]]  # the first is the warm-up
    changes = sum(before != after for before, after in pairwise(asked))
    assert len(asked) == 18
    assert changes == 5, "each image is left once"


def test_an_image_s_questions_keep_their_order_with_several_workers(
    pictures: Path, service: "FakeService", do_run: Make
) -> None:
    do_run("tallyqa", pictures, concurrency=3)
    by_digest: dict[str, list[str]] = {}
    for digest, question in service.asked[1:]:
        by_digest.setdefault(digest, []).append(question)
    assert all(questions == sorted(questions) and len(questions) == 3 for questions in by_digest.values())
    assert service.most_at_once == 3


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_as_many_questions_are_under_way_as_asked_for_and_no_more(
    pictures: Path, service: "FakeService", do_run: Make, concurrency: int
) -> None:
    service.delay_s = 0.01
    do_run("tallyqa", pictures, concurrency=concurrency)
    assert service.most_at_once == concurrency


def test_each_part_of_a_reply_is_in_its_own_column(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    timing = {"queue_ms": 21, "preprocess_ms": 22, "inference_ms": 23, "total_ms": 76}
    usage = {"image_tokens": 11, "prompt_tokens": 12, "completion_tokens": 13, "cached_tokens": 14}
    told = {**reply("4"), "timing": timing, "usage": usage, "cache": "hit", "finish_reason": "length"}
    service.answers = {"How many dogs 0?": told}
    service.delay_s, began_s = 0.1, time.time()
    do_run("tallyqa", pictures, concurrency=6)
    run = columns_of(tmp_path / "run")
    (row,) = np.flatnonzero(run.hits)
    numbers = {name: float(column[row]) for name, column in run.numbers.items()}
    assert 100 <= numbers.pop("client") <= (time.time() - began_s) * 1000
    assert began_s + 0.1 - 0.001 <= numbers.pop("sent_at_s") <= time.time() - 0.1, "after the warm-up was answered"
    assert np.isnan(numbers.pop("intended_at_s"))
    own = {"queue": 21, "preprocess": 22, "inference": 23, "total": 76, "image_tokens": 11, "completion_tokens": 13}
    assert numbers == {**own, "waited": 0, "attempts": 1, "turn": 0}
    assert (run.ids[row], run.truncated, run.count[row], run.wanted[row]) == ("0", 1, 4, 0)
    scored = {outcome.sample_id: outcome for outcome in read_outcomes(tmp_path / "run" / "outcomes.jsonl").scored}
    assert scored["0"].usage.model_dump() == usage
    assert scored["0"].timing.model_dump() == timing


def test_an_outcome_says_what_was_asked_of_which_image_and_in_which_turn(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path, digest_of: Callable[[Path], str]
) -> None:
    service.answers = {"How many dogs 12?": httpx.Response(500, text="oops")}
    do_run("tallyqa", pictures)
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    told = {outcome.sample_id: outcome for outcome in (*outcomes.scored, *outcomes.failed)}
    for n in range(6):
        for q in range(3):
            key, outcome = f"VG_100K/{n}.png", told[str(10 * n + q)]
            assert (outcome.image, outcome.image_sha256) == (key, digest_of(pictures / key))
            assert (outcome.question, outcome.gold, outcome.turn) == (f"How many dogs {10 * n + q}?", str(q), q)
            assert (outcome.answer_type, outcome.labels["complexity"]) == (AnswerType.COUNT, "simple")
    assert [failed.sample_id for failed in outcomes.failed] == ["12"]


def test_what_was_waited_for_stays_in_the_outcome(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "0"}, json={"error": {"message": "full", "type": "t"}})
    service.answers = {"How many dogs 1?": busy}
    do_run("tallyqa", pictures, options=AskOptions(retries=2))
    (failed,) = read_outcomes(tmp_path / "run" / "outcomes.jsonl").failed
    assert (failed.attempts, failed.failure.status, failed.failure.retry_after_s) == (3, 503, 0)
    assert failed.waited_ms >= 2, "two answers of a millisecond each"
    assert failed.latency_ms >= 1


class Patient:
    """A client whose every question took as long."""

    async def ask(self, _image: EncodedImage, _question: str) -> Attempts:
        failure = Failure(kind=FailureKind.TIMEOUT, message="")
        return Attempts(failure, sent_at_s=1_700_000_000.12345, latency_ms=12.34567, attempts=2, waited_ms=7.65432)


def test_an_outcome_s_times_are_kept_to_the_thousandth() -> None:
    sample = Sample("1", "a.png", "How many?", "3", AnswerType.COUNT, {})
    outcomes: list[Outcome] = []
    client = cast("AnswerClient", Patient())
    asyncio.run(replay(iter([(sample,)]), lambda _: b"pixels", client, 1, outcomes.append))
    (outcome,) = outcomes
    assert (outcome.latency_ms, outcome.waited_ms, outcome.sent_at_s) == (12.346, 7.654, 1_700_000_000.123)


def test_failures_stay_apart_and_do_not_stop_the_run(
    pictures: Path, service: "FakeService", do_run: Make, tmp_path: Path
) -> None:
    service.answers = {"How many dogs 0?": "0", "How many dogs 11?": REFUSAL, "How many dogs 22?": httpx.ReadError("x")}
    summary = do_run("tallyqa", pictures)
    outcomes = read_outcomes(tmp_path / "run" / "outcomes.jsonl")
    assert (summary.answered, summary.failed) == (16, 2)
    assert Counter(failed.failure.kind.value for failed in outcomes.failed) == {"http status": 1, "connection": 1}
    assert {scored.sample_id for scored in outcomes.scored if scored.answer == "0"} == {"0"}
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


def test_what_is_no_image_is_asked_about_all_the_same(pictures: Path, service: "FakeService", do_run: Make) -> None:
    (pictures / "VG_100K" / "0.png").write_text("no image")
    assert do_run("tallyqa", pictures).answered == 18
    assert len(service.asked) == 19
