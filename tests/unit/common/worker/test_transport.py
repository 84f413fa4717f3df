"""A job's way to the worker and its replies back, over a fake queue."""

import asyncio
import queue
import time
from typing import Any

import pytest
from litserve.utils import LitAPIStatus

from services.common.worker import transport
from services.common.worker.messages import Delta, Job, Reply
from services.wire.contract import WireRequest
from services.wire.errors import DeadlineError, InternalError, ServiceError
from tests.unit.common.http.serving import answer

ANSWER = answer()


def job(timeout_s: float = 5.0) -> Job[WireRequest]:
    now = time.monotonic()
    return Job("a", WireRequest(), now, now + timeout_s, timeout_s)


class Queue:
    """LitServe's side: replies arrive when ``deliver`` is called."""

    def __init__(self) -> None:
        self.request_queue: Any = queue.Queue()
        self.response_buffer: dict[str, Any] = {}
        self.response_queue_id = 7

    async def asked(self) -> Any:
        """The first item put on the queue, once there is one."""
        return await asyncio.to_thread(self.request_queue.get, timeout=5)

    def deliver(self, data: object, status: str = LitAPIStatus.OK) -> None:
        self.response_buffer["a"].response = (data, status)
        self.response_buffer["a"].event.set()


def test_a_job_is_put_on_the_queue_as_litserve_expects_it() -> None:
    asked = job()

    async def ask() -> None:
        between = Queue()
        before_s = time.monotonic()
        waiting = asyncio.ensure_future(anext(transport.replies(between, asked)))
        sender, name, at_s, sent = await between.asked()
        assert (sender, name, sent) == (7, "a", asked)
        assert before_s <= at_s <= time.monotonic()
        assert list(between.response_buffer) == ["a"]
        assert between.response_buffer["a"].response is None
        between.deliver(ANSWER)
        assert await waiting == ANSWER

    asyncio.run(ask())


@pytest.mark.parametrize("end", [ANSWER, DeadlineError("late")])
def test_every_reply_comes_in_order_even_if_they_come_at_once(end: Reply) -> None:
    async def ask() -> list[Reply]:
        between = Queue()
        replies = transport.replies(between, job())
        first = asyncio.ensure_future(anext(replies))
        await between.asked()
        for data in (Delta("a"), Delta("b"), end, Delta("after the end")):
            between.deliver(data)
        received = [await first, *[reply async for reply in replies]]
        assert between.response_buffer == {}
        return received

    assert asyncio.run(ask()) == [Delta("a"), Delta("b"), end]


@pytest.mark.parametrize("failure", [DeadlineError, InternalError])
def test_no_end_in_time_and_a_defect_are_errors(failure: type[ServiceError]) -> None:
    words: dict[type[ServiceError], str] = {
        DeadlineError: "no answer within 0.05 s: try again",
        InternalError: "see a in its log",
    }

    async def ask() -> None:
        between = Queue()
        replies = transport.replies(between, job(0.05 if failure is DeadlineError else 5.0))
        waiting = asyncio.ensure_future(anext(replies))
        await between.asked()
        if failure is InternalError:
            between.deliver(b"", LitAPIStatus.ERROR)
        with pytest.raises(failure) as caught:
            await waiting
        assert words[failure] in caught.value.message
        assert between.response_buffer == {}

    asyncio.run(ask())


def test_the_time_is_that_of_the_whole_answer_and_not_of_each_piece() -> None:
    pieces = 0

    async def ask() -> None:
        nonlocal pieces
        between = Queue()
        replies = transport.replies(between, job(0.2))
        waiting = asyncio.ensure_future(anext(replies))
        await between.asked()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if between.response_buffer:
                between.deliver(Delta("x"))
            await waiting
            pieces += 1
            waiting = asyncio.ensure_future(anext(replies))

    with pytest.raises(DeadlineError):
        asyncio.run(ask())
    assert pieces <= 4


def test_an_abandoned_job_is_forgotten() -> None:
    async def ask() -> None:
        between = Queue()
        replies = transport.replies(between, job())
        waiting = asyncio.ensure_future(anext(replies))
        await between.asked()
        between.deliver(Delta("a"))
        await waiting
        assert list(between.response_buffer) == ["a"]
        await replies.aclose()
        assert between.response_buffer == {}

    asyncio.run(ask())
