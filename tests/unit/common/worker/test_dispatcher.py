"""A job's way to the worker and its replies back, over a real socket, with a worker that the test plays."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.common.worker.dispatcher import Dispatcher
from services.common.worker.messages import Alive, Begun, Cancel, Delta, Job, Reply
from services.wire.errors import DeadlineError, InvalidRequestError, NotReadyError
from tests.unit.common.http.serving import answer
from tests.unit.common.worker.processes import Building, building, job, until

ANSWER = answer()


def play(scene: Callable[[Building], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        async with building(**options) as house:
            await scene(house)

    asyncio.run(run())


async def all_replies(dispatcher: Dispatcher, asked: Job[Any]) -> list[Reply]:
    return [reply async for reply in dispatcher.replies(asked)]


def ask(house: Building, asked: Job[Any]) -> "asyncio.Task[list[Reply]]":
    return asyncio.ensure_future(all_replies(house.dispatcher, asked))


def test_every_reply_comes_in_order_up_to_the_end_and_to_its_own_job() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        asked = [ask(house, job("a")), ask(house, job("b"))]
        assert [await worker.takes(), await worker.takes()] == ["a", "b"]
        refusal = InvalidRequestError("no", "image")
        worker.answers("b", Delta("x"), Delta("y"), ANSWER)
        worker.answers("a", Delta("z"), refusal)
        assert await asked[1] == [Delta("x"), Delta("y"), ANSWER]
        first, end = await asked[0]
        assert first == Delta("z")
        assert (type(end), str(end), vars(end)["param"]) == (InvalidRequestError, "no", "image")

    play(scene)


def test_the_worker_has_as_many_jobs_as_it_has_slots_and_gets_the_next_in_order() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        asked = {name: ask(house, job(name)) for name in "abcd"}
        assert [await worker.takes(), await worker.takes()] == ["a", "b"]
        await until(lambda: (house.dispatcher.running, house.dispatcher.waiting) == (2, 2))
        for end, following in (("b", "c"), ("a", "d")):
            worker.answers(end, ANSWER)
            assert await worker.takes() == following
        worker.answers("c", ANSWER)
        worker.answers("d", ANSWER)
        assert [await each for each in asked.values()] == [[ANSWER]] * 4
        assert (house.dispatcher.running, house.dispatcher.waiting) == (0, 0)

    play(scene)


def test_a_job_whose_deadline_passes_while_it_waits_is_never_sent() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        first = ask(house, job("a"))
        await worker.takes()
        late = ask(house, job("late", timeout_s=0.05))
        started_s = time.monotonic()
        with pytest.raises(DeadlineError, match=r"no answer within 0.05 s: try again"):
            await late
        assert time.monotonic() - started_s < 2
        worker.answers("a", ANSWER)
        assert await first == [ANSWER]
        following = ask(house, job("following"))
        assert await worker.takes() == "following"
        worker.answers("following", ANSWER)
        await following

    play(scene, slots=1)


def test_the_time_is_that_of_the_whole_answer_and_the_worker_is_told_when_it_is_over() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        asked = ask(house, job("a", timeout_s=0.2))
        await worker.takes()
        pieces = 0
        while not asked.done():
            worker.answers("a", Delta("x"))
            pieces += 1
            await asyncio.sleep(0.05)
        assert isinstance(asked.exception(), DeadlineError)
        assert pieces <= 6
        assert await worker.hears_cancel() == "a"

    play(scene)


def test_a_job_that_is_given_up_is_cancelled_and_keeps_its_slot_until_the_worker_lets_it_go() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        left = house.dispatcher.replies(job("left"))
        first = asyncio.ensure_future(anext(left))
        await worker.takes()
        worker.answers("left", Delta("a"))
        assert await first == Delta("a")
        following = ask(house, job("following"))
        await asyncio.sleep(0)
        await left.aclose()
        assert await worker.hears() == Cancel("left")
        assert (house.dispatcher.running, house.dispatcher.waiting) == (1, 1)
        worker.answers("left", DeadlineError("nobody waits"))
        assert await worker.takes() == "following"
        worker.answers("following", ANSWER)
        assert await following == [ANSWER]

    play(scene, slots=1)


def test_a_job_that_is_given_up_while_it_waits_costs_the_worker_nothing() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        running, waiting, following = (ask(house, job(name)) for name in ("running", "waiting", "following"))
        assert await worker.takes() == "running"
        waiting.cancel()
        await asyncio.wait({waiting})
        worker.answers("running", ANSWER)
        assert await worker.takes() == "following"
        worker.answers("following", ANSWER)
        assert [await running, await following] == [[ANSWER], [ANSWER]]

    play(scene, slots=1)


def test_a_worker_that_dies_fails_everything_at_once_if_none_follows() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        asked = [ask(house, job(name, timeout_s=60)) for name in "abc"]
        await worker.takes()
        worker.dies()
        async with asyncio.timeout(1):
            for each in asked:
                with pytest.raises(NotReadyError, match="the worker died"):
                    await each
        assert not house.dispatcher.is_ready()
        with pytest.raises(NotReadyError, match="not ready"):
            await all_replies(house.dispatcher, job())

    play(scene)


def test_a_worker_that_sends_what_cannot_be_is_as_good_as_dead() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        asked = ask(house, job(timeout_s=60))
        await worker.takes()
        worker.tell(Begun("a job that nobody sent"))
        async with asyncio.timeout(5):
            with pytest.raises(NotReadyError, match="the worker died"):
                await asked
        assert not house.dispatcher.is_ready()

    play(scene)


def test_a_worker_that_dies_fails_only_what_it_had_begun_if_another_follows() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        begun, sent, waiting = (ask(house, job(name, timeout_s=60)) for name in ("begun", "sent", "waiting"))
        assert await worker.takes() == "begun"
        assert isinstance(await worker.hears(), Job)
        worker.dies()
        with pytest.raises(NotReadyError, match="the worker died"):
            await begun
        assert not house.dispatcher.is_ready()
        following = await house.worker()
        assert house.dispatcher.restarts == 1
        for name in ("sent", "waiting"):
            assert await following.takes() == name
            following.answers(name, ANSWER)
        assert [await sent, await waiting] == [[ANSWER], [ANSWER]]

    play(scene, restarts=True)


def test_a_worker_that_tells_nothing_is_stuck_until_it_does() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        await asyncio.sleep(0.06)
        assert not house.dispatcher.is_ready()
        assert not house.dispatcher.is_stuck_for_long()
        await until(house.dispatcher.is_stuck_for_long)
        worker.tell(Alive())
        await until(house.dispatcher.is_ready)
        assert not house.dispatcher.is_stuck_for_long()

    play(scene, stuck_after_s=0.05)


def test_a_model_that_is_not_verified_is_not_served() -> None:
    verified = False

    async def scene(house: Building) -> None:
        nonlocal verified
        arriving = asyncio.ensure_future(house.worker())
        await asyncio.sleep(0.05)
        assert not house.dispatcher.is_ready()
        verified = True
        await arriving
        assert house.dispatcher.is_ready()

    play(scene, is_verified=lambda: verified)


def test_the_rate_is_measured_while_the_worker_is_busy_and_not_while_it_waits() -> None:
    async def scene(house: Building) -> None:
        worker = await house.worker()
        assert house.dispatcher.wait_s(3) is None
        for name in ("a", "b"):
            asked = ask(house, job(name))
            await worker.takes()
            await asyncio.sleep(0.1)
            worker.answers(name, ANSWER)
            await asked
            await asyncio.sleep(0.3)
        wait_s = house.dispatcher.wait_s(3)
        assert wait_s is not None
        assert 0.3 <= wait_s < 1.0
        assert house.dispatcher.wait_s(0) == 0

    play(scene)
