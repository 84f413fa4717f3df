"""What is asked again, after which wait, and what it leaves in the outcome."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import httpx
import pytest

from clients.replay import retries
from clients.replay.client import AnswerClient, AskOptions
from clients.replay.outcomes import Failure, FailureKind
from clients.replay.pictures import Picture
from clients.replay.retries import Attempts, ask_patiently, retry_after_s
from tests.unit.replay.conftest import reply

BUSY = {"error": {"message": "queue full", "type": "server_error", "code": "queue_full"}}


def ask(*responses: httpx.Response | Exception, retries: int = 3) -> tuple[Attempts, int]:
    """Ask a service that gives these in turn, the last one for ever; and how often it was asked."""
    left, asked = list(responses), 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        response = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(response, Exception):
            raise response
        return response

    async def once() -> Attempts:
        options = AskOptions(timeout_s=5, retries=retries)
        async with AnswerClient("http://127.0.0.1:9", options, httpx.MockTransport(handler)) as client:
            return await client.ask(Picture.of(b"pixels"), "How many?")

    return asyncio.run(once()), asked


def busy(status: int, wait_s: str = "0") -> httpx.Response:
    return httpx.Response(status, json=BUSY, headers={"Retry-After": wait_s})


@pytest.mark.parametrize("trouble", [busy(429), busy(503), httpx.ConnectError("refused"), httpx.ReadError("reset")])
def test_what_passes_is_asked_again(trouble: httpx.Response | Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_BACKOFF", lambda _: 0.01)
    attempts, asked = ask(trouble, trouble, httpx.Response(200, json=reply("3")))
    assert not isinstance(attempts.reply, Failure)
    assert attempts.reply.answer == "3"
    assert (attempts.attempts, asked) == (3, 3)


@pytest.mark.parametrize("status", [400, 401, 413, 415, 422, 500, 502, 504])
def test_a_refusal_or_a_breakdown_is_not(status: int) -> None:
    attempts, asked = ask(httpx.Response(status, json=BUSY))
    assert isinstance(attempts.reply, Failure)
    assert (attempts.reply.status, attempts.attempts, asked) == (status, 1, 1)


@pytest.mark.parametrize(
    ("accident", "kind"),
    [(httpx.ReadTimeout("slow"), FailureKind.TIMEOUT), (httpx.Response(200, text="no json"), FailureKind.BAD_REPLY)],
)
def test_nor_is_what_would_take_as_long_or_read_as_badly_once_more(
    accident: httpx.Response | Exception, kind: FailureKind
) -> None:
    attempts, asked = ask(accident)
    assert isinstance(attempts.reply, Failure)
    assert (attempts.reply.kind, asked) == (kind, 1)


def test_the_last_failure_is_what_remains_when_the_attempts_are_used_up() -> None:
    attempts, asked = ask(busy(503), retries=2)
    assert isinstance(attempts.reply, Failure)
    assert (attempts.reply.status, attempts.attempts, asked) == (503, 3, 3)


def test_the_service_s_own_wait_is_kept_and_counts_as_waiting_not_as_latency() -> None:
    attempts, _ = ask(busy(429, "1"), httpx.Response(200, json=reply("3")))
    assert attempts.waited_ms >= 1000
    assert attempts.latency_ms < 500


def test_without_one_each_wait_is_longer() -> None:
    waits: list[float] = []

    async def lost() -> Failure:
        waits.append(asyncio.get_running_loop().time())
        return Failure(kind=FailureKind.CONNECTION, message="refused")

    asyncio.run(ask_patiently(lost, 2))
    first, second = (after - before for before, after in pairwise(waits))
    assert 0.2 < first < second


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [(None, None), ("7", 7), (" 0 ", 0), ("soon", None), ("Wed, 01 Jan 2020 00:00:00 GMT", 0)],
)
def test_a_wait_in_seconds_or_as_a_time(header: str | None, wait_s: float | None) -> None:
    assert retry_after_s(header) == wait_s


def test_a_wait_until_a_time_to_come() -> None:
    wait_s = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=30)))
    assert wait_s is not None
    assert 27 < wait_s <= 30


def test_a_wait_is_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    ask(busy(503, "86400"), httpx.Response(200, json=reply("3")))
    assert slept == [retries.LONGEST_WAIT_S]
