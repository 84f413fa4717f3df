"""The worker's loop and the courier at its other end, with the queues of LitServe between them replaced."""

import asyncio
import queue
import time
from collections.abc import Iterable
from typing import Any

import pytest
from litserve.utils import LitAPIStatus

from services.common import courier
from services.common.errors import DeadlineError, InternalError, InvalidRequestError
from services.common.jobs import Delta, Job, Reply
from services.common.schemas import AnswerResponse, Timing, Usage, WireRequest
from services.common.steps import StepLoop

ANSWER = AnswerResponse(
    id="x",
    model="m",
    variant="v",
    answer="ab",
    finish_reason="stop",
    usage=Usage(image_tokens=0, prompt_tokens=1, completion_tokens=2),
    timing=Timing(queue_ms=0, preprocess_ms=0, inference_ms=0, total_ms=0),
)


def job(name: str, timeout_s: float = 5.0) -> Job[WireRequest]:
    now = time.monotonic()
    return Job(name, WireRequest(), now, now + timeout_s, timeout_s)


class Spelling:
    """Sends a letter of a job's name per step; one with ``!`` fails when it comes up, one with ``?`` in a step."""

    max_batch_size = 2

    def __init__(self) -> None:
        self.left: dict[str, list[str]] = {}
        self.most = 0

    def begin(self, taken: Job[Any]) -> Iterable[Reply]:
        if taken.id == "refused":
            return [InvalidRequestError("no")]
        if "!" in taken.id:
            raise RuntimeError(taken.id)
        self.left[taken.id] = list(taken.id)
        self.most = max(self.most, len(self.left))
        return []

    def step(self) -> Iterable[tuple[str, Reply]]:
        for name, letters in list(self.left.items()):
            letter = letters.pop(0)
            if letter == "?":
                raise RuntimeError(name)
            yield name, Delta(letter)
            if not letters:
                del self.left[name]
                yield name, ANSWER

    def drop_all(self) -> None:
        self.left.clear()


class Transport:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, str]] = []

    def send(self, item: Any, consumer_id: int) -> None:  # noqa: ANN401 as LitServe
        job_id, (data, status, *_) = item
        assert consumer_id == 7
        self.sent.append((job_id, data, status))


class Requests(queue.Queue[Any]):
    """Says stop where an idle loop would wait for ever."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002 as its base
        return (None, None, None, None) if block and self.empty() else super().get(block, timeout)


def run(*names: str) -> tuple[Spelling, list[tuple[str, Any, str]]]:
    api, transport, requests = Spelling(), Transport(), Requests()
    for name in names:
        requests.put((7, name, 0.0, job(name)))
    StepLoop()(api, "cpu", 0, requests, transport, {}, None)
    return api, transport.sent


def of(sent: list[tuple[str, Any, str]], name: str) -> list[Any]:
    return [data for job_id, data, _ in sent if job_id == name]


def test_jobs_are_written_side_by_side_within_the_bound() -> None:
    api, sent = run("longest", "ab", "c")
    assert api.most == 2
    for name in ("longest", "ab", "c"):
        assert of(sent, name) == [*map(Delta, name), ANSWER]
    ends = [job_id for job_id, data, _ in sent if data is ANSWER]
    assert ends[-1] == "longest", "a short answer does not wait for a long one"


def test_a_defect_on_one_job_leaves_the_others() -> None:
    _, sent = run("ab", "bad!", "refused", "cd")
    assert [status for job_id, _, status in sent if job_id == "bad!"] == [LitAPIStatus.ERROR]
    assert [str(error) for error in of(sent, "refused")] == [str(InvalidRequestError("no"))]
    for name in ("ab", "cd"):
        assert of(sent, name) == [*map(Delta, name), ANSWER]


def test_a_defect_in_a_step_ends_what_is_under_way_and_nothing_else() -> None:
    _, sent = run("a?", "bcd", "ef")
    for name in ("a?", "bcd"):
        assert [status for job_id, _, status in sent if job_id == name][-1] == LitAPIStatus.ERROR
    assert of(sent, "ef") == [*map(Delta, "ef"), ANSWER]


class Queue:
    """LitServe's part: replies come when ``deliver`` is told."""

    def __init__(self) -> None:
        self.request_queue: Any = queue.Queue()
        self.response_buffer: dict[str, Any] = {}
        self.response_queue_id = 7

    async def asked(self) -> None:
        """Wait until somebody waits for a reply."""
        await asyncio.to_thread(self.request_queue.get, timeout=5)

    def deliver(self, name: str, data: object, status: str = LitAPIStatus.OK) -> None:
        self.response_buffer[name].response = (data, status)
        self.response_buffer[name].event.set()


def test_every_reply_comes_in_order_even_if_they_come_at_once() -> None:
    async def ask() -> list[Reply]:
        between = Queue()
        replies = courier.replies(between, job("a"))
        first = asyncio.ensure_future(anext(replies))
        await between.asked()
        for data in (Delta("a"), Delta("b"), ANSWER):
            between.deliver("a", data)
        received = [await first, *[reply async for reply in replies]]
        assert between.response_buffer == {}
        return received

    assert asyncio.run(ask()) == [Delta("a"), Delta("b"), ANSWER]


@pytest.mark.parametrize(("failure", "timeout_s"), [(DeadlineError, 0.05), (InternalError, 5.0)])
def test_no_end_in_time_and_a_defect_are_errors(failure: type[Exception], timeout_s: float) -> None:
    async def ask() -> None:
        between = Queue()
        replies = courier.replies(between, job("a", timeout_s))
        waiting = asyncio.ensure_future(anext(replies))
        await between.asked()
        if failure is InternalError:
            between.deliver("a", b"", LitAPIStatus.ERROR)
        with pytest.raises(failure):
            await waiting
        assert between.response_buffer == {}

    asyncio.run(ask())
