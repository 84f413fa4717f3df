"""Jobs arriving at the worker: each gets its own replies, and one that fails or is too late fails alone."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.common.isolation import Abandoned, interruptible
from services.common.worker.messages import Delta, Job, Reply, WorkerAnswer
from services.qwen_vl.api import QwenVLAPI
from services.qwen_vl.engine import VisionQA
from services.qwen_vl.settings import QwenVLSettings
from services.qwen_vl.translate import Asked
from services.qwen_vl.types import Limits
from services.wire.answer import QwenVLRequest
from services.wire.chat import QwenVLChat
from services.wire.errors import InternalError, InvalidRequestError, UnsupportedImageError
from services.wire.lens import LensRequest
from tests.unit.qwen_vl.conftest import asked, scene


def job(name: str, request: Asked, *, left_s: float = 60, in_pieces: bool = False) -> Job[Asked]:
    now = time.monotonic()
    return Job(name, request, now - 0.25, now + left_s, 60, in_pieces)


def about(count: int, **options: Any) -> QwenVLRequest:
    return QwenVLRequest(image=scene(count).data, question="How many circles are there?", **options)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, engine: VisionQA) -> QwenVLAPI:
    """A worker with the tests' engine, in this process."""
    monkeypatch.setattr("sys.argv", ["test"])
    monkeypatch.setattr("services.qwen_vl.api.prepare_worker", lambda _: None)
    monkeypatch.setattr("services.qwen_vl.engine.VisionQA.load", lambda *_: engine)
    made = QwenVLAPI(QwenVLSettings(max_new_tokens=4), Path("unused"), "fp32")
    made.setup("cpu")
    return made


def to_the_end(api: QwenVLAPI) -> dict[str, list[Reply]]:
    replies: dict[str, list[Reply]] = {}
    for _ in range(5):  # one more than the longest answer's tokens
        for name, reply in api.step():
            replies.setdefault(name, []).append(reply)
    return replies


def test_the_settings_reach_the_engine(monkeypatch: pytest.MonkeyPatch, engine: VisionQA) -> None:
    given: list[Any] = []

    def made(*values: object) -> VisionQA:
        given.extend(values)
        return engine

    monkeypatch.setattr("sys.argv", ["test"])
    monkeypatch.setattr("services.qwen_vl.api.prepare_worker", lambda settings: given.append(settings.port))
    monkeypatch.setattr("services.qwen_vl.engine.VisionQA.load", made)
    settings = QwenVLSettings(
        device="cuda",
        threads=3,
        port=8123,
        max_pixels=4000,
        max_prompt_tokens=500,
        max_grid_readings=60,
        cache_bytes=7,
        max_new_tokens=1,
        max_batch_size=5,
    )
    api = QwenVLAPI(settings, Path("a"), "nf4")
    api.setup("cpu")
    assert given == [8123, Path("a"), "nf4", "cuda", 3, Limits(4000, 500, 60, 7)]
    assert api.max_batch_size == 5
    (reply,) = api.begin(job("short", about(3)))
    assert isinstance(reply, WorkerAnswer)
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 1)


def test_jobs_side_by_side_get_their_own_answers_and_a_bad_one_its_error(api: QwenVLAPI, engine: VisionQA) -> None:
    counts = {"a": 2, "b": 5, "c": 3}
    for name, count in counts.items():
        assert list(api.begin(job(name, about(count)))) == []
        (broken,) = api.begin(job("broken", QwenVLRequest(image=scene(1).data[:-200], question="?")))
        assert isinstance(broken, UnsupportedImageError)
        (refused,) = api.begin(job("lens", about(1, lens=LensRequest(layers=[99]))))
        assert isinstance(refused, InvalidRequestError)
    replies = to_the_end(api)
    for name, count in counts.items():
        (reply,) = replies.pop(name)
        assert isinstance(reply, WorkerAnswer)
        assert reply.text == engine.answer(asked(scene(count))).text.strip()
        assert 250 <= reply.queue_ms < 5000
    assert replies == {}


@pytest.mark.parametrize(("in_pieces", "logprobs"), [(True, False), (True, True), (False, False)])
def test_pieces_come_as_they_are_written_if_they_are_wanted(api: QwenVLAPI, *, in_pieces: bool, logprobs: bool) -> None:
    url = {"url": base64.b64encode(scene(4).data).decode()}
    parts = [{"type": "image_url", "image_url": url}, {"type": "text", "text": "How many circles are there?"}]
    fields: dict[str, Any] = {"messages": [{"role": "user", "content": parts}], "temperature": 2, "seed": 20}
    chat = QwenVLChat(**fields, logprobs=logprobs)
    first = list(api.begin(job("j", chat, in_pieces=in_pieces)))
    *pieces, end = first + to_the_end(api).get("j", [])
    assert isinstance(end, WorkerAnswer)
    assert all(isinstance(piece, Delta) for piece in pieces)
    if in_pieces:
        deltas = [piece for piece in pieces if isinstance(piece, Delta)]
        assert "".join(delta.text for delta in deltas) == end.text
        assert len(deltas) > 1
        scored = end.usage.completion_tokens - (end.finish_reason == "stop")
        assert sum(len(delta.logprobs) for delta in deltas) == (scored if logprobs else 0)
        assert all(delta.text or delta.logprobs for delta in deltas)
    else:
        assert pieces == []


def test_a_job_that_is_dropped_is_let_go_alone(api: QwenVLAPI) -> None:
    for name in ("quick", "dropped"):
        assert list(api.begin(job(name, about(2)))) == []
    api.drop("dropped")
    api.drop("never begun")
    replies = to_the_end(api)
    assert "dropped" not in replies
    assert isinstance(replies["quick"][-1], WorkerAnswer)


def test_a_prompt_that_nobody_waits_for_is_read_no_further(api: QwenVLAPI) -> None:
    pieces = 0

    def check() -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            raise Abandoned

    with interruptible(check), pytest.raises(Abandoned):
        api.begin(job("left", about(2)))
    assert pieces == 3
    assert list(api.step()) == []


@pytest.mark.parametrize("where", ["network", "generation", "end"])
def test_a_defect_on_one_of_several_answers_leaves_its_neighbours(
    where: str, api: QwenVLAPI, engine: VisionQA, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counts = {"a": 2, "bad": 5, "c": 3}
    for name, count in counts.items():
        assert list(api.begin(job(name, about(count)))) == []
    bad = api._active["bad"].started.generation  # noqa: SLF001 to break it

    def failing(works: Callable[..., Any], broken: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if broken(*arguments):
                raise ZeroDivisionError
            return works(*arguments, **named)

        return call

    if where == "network":
        decode = failing(engine.network.decode, lambda rows: bad.sequence in rows)
        monkeypatch.setattr(engine.network, "decode", decode)
    elif where == "generation":
        monkeypatch.setattr(bad, "advance", failing(bad.advance, lambda *_: True))
    else:
        monkeypatch.setattr(engine, "finish", failing(engine.finish, lambda ended: ended.generation is bad))
    replies = to_the_end(api)
    (failed,) = replies.pop("bad")
    assert isinstance(failed, InternalError)
    assert failed.message == "the worker failed on this request; see bad in its log"
    monkeypatch.undo()
    for name, (reply,) in replies.items():
        assert isinstance(reply, WorkerAnswer)
        assert reply.text == engine.answer(asked(scene(counts[name]))).text.strip()
    assert sorted(replies) == ["a", "c"]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["job bad failed"]


def test_a_job_that_fails_at_its_first_piece_is_let_go(api: QwenVLAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api._translator, "delta", lambda _: 1 / 0)  # noqa: SLF001 to break it
    (failed,) = api.begin(job("a", about(2), in_pieces=True))
    assert isinstance(failed, InternalError)
    assert list(api.step()) == []
