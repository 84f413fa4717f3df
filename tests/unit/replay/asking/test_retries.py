"""What is retried, after which wait, and what the outcome records."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import httpx
import pytest

from clients.replay.asking import retries
from clients.replay.asking.client import AnswerClient, AskOptions
from clients.replay.asking.images import EncodedImage
from clients.replay.asking.retries import Attempts, ask_patiently, retry_after_s
from clients.replay.run.outcomes import Failure, FailureKind
from tests.unit.replay.conftest import reply

BUSY = {"error": {"message": "queue full", "type": "server_error", "code": "queue_full"}}


def ask(*responses: httpx.Response | Exception, retries: int = 3) -> tuple[Attempts, int]:
    """Ask a service that returns these replies in turn, repeating the last; return the number of requests too."""
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
            return await client.ask(EncodedImage.of(b"pixels"), "How many?")

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


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 422, 428, 430, 500, 502, 504])
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


class Clock:
    """A clock that advances only by waiting and asking."""

    def __init__(self) -> None:
        self.now_s = 500.0
        self.slept: list[float] = []

    def perf_counter(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s + 1e9

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(retries, "time", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


def test_latency_is_the_last_attempt_s_and_all_before_it_is_waiting(clock: Clock) -> None:
    left = [(2.0, 7.0), (3.0, 11.0), (0.25, None)]  # how long each request takes, and the wait it then asks for

    async def served() -> Failure:
        took_s, wait_s = left.pop(0)
        clock.now_s += took_s
        busy = wait_s is not None
        return Failure(kind=FailureKind.HTTP_STATUS, message="", status=503 if busy else 500, retry_after_s=wait_s)

    attempts = asyncio.run(ask_patiently(served, 5))
    assert clock.slept == [7, 11]
    assert (attempts.attempts, attempts.latency_ms, attempts.waited_ms) == (3, 250, (2 + 7 + 3 + 11) * 1000)
    assert attempts.sent_at_s == 1e9 + 500 + 2 + 7 + 3 + 11, "when the last attempt began"


def test_a_single_attempt_has_waited_for_nothing(clock: Clock) -> None:
    async def served() -> Failure:
        clock.now_s += 0.04
        return Failure(kind=FailureKind.TIMEOUT, message="")

    attempts = asyncio.run(ask_patiently(served, 5))
    assert (attempts.attempts, attempts.waited_ms) == (1, 0.0)
    assert attempts.latency_ms == pytest.approx(40)
    assert attempts.sent_at_s == 1e9 + 500


def test_the_moments_around_a_single_attempt_are_no_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([500.0, 500.5, 501.0, 501.75])  # begun, sent, answered, and whenever else it is read
    monkeypatch.setattr(clock, "perf_counter", lambda: next(moments))

    async def served() -> Failure:
        return Failure(kind=FailureKind.TIMEOUT, message="")

    attempts = asyncio.run(ask_patiently(served, 5))
    assert (attempts.latency_ms, attempts.waited_ms) == (500, 0)


def test_without_a_wait_of_the_service_s_each_is_twice_as_long_up_to_fifteen_seconds(clock: Clock) -> None:
    asked = 0

    async def lost() -> Failure:
        nonlocal asked
        asked += 1
        return Failure(kind=FailureKind.CONNECTION, message="refused")

    attempts = asyncio.run(ask_patiently(lost, 9))
    assert (asked, attempts.attempts, len(clock.slept)) == (10, 10, 9)
    shortest_s = [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    assert all(0 <= wait - least <= 0.25 for wait, least in zip(clock.slept, shortest_s, strict=True)), clock.slept
    assert len(set(clock.slept[:6])) == 6
    assert any(wait != least for wait, least in zip(clock.slept, shortest_s, strict=True)), "some jitter"


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_it_is_asked_once_plus_the_number_of_retries(clock: Clock, retries: int) -> None:
    attempts, asked = ask(httpx.ConnectError("refused"), retries=retries)
    assert (attempts.attempts, asked, len(clock.slept)) == (retries + 1, retries + 1, retries)


@pytest.mark.parametrize(("header", "wait_s"), [("0", 0), ("59", 59), ("60", 60), ("61", 60), ("86400", 60)])
def test_a_wait_is_the_service_s_but_a_minute_at_most(clock: Clock, header: str, wait_s: float) -> None:
    attempts, _ = ask(busy(503, header), httpx.Response(200, json=reply("3")))
    assert (clock.slept, attempts.waited_ms) == ([wait_s], wait_s * 1000)


def test_the_service_s_wait_stays_in_the_failure() -> None:
    attempts, _ = ask(busy(429, "86400"), retries=0)
    assert isinstance(attempts.reply, Failure)
    assert attempts.reply.retry_after_s == 86400


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        *((None, None), ("7", 7), (" 12 ", 12), (" 0 ", 0)),
        *(("soon", None), ("", None), ("-3", None), ("1.5", None)),
        *(("Wed, 01 Jan 2020 00:00:00 GMT", 0), ("Wed, 01 Jan 2020 00:00:00 +99999999999999999999", None)),
    ],
)
def test_a_wait_in_seconds_or_as_a_time(header: str | None, wait_s: float | None) -> None:
    assert retry_after_s(header) == wait_s


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5)), None], ids=["utc", "elsewhere", "unnamed"])
def test_a_wait_until_a_time_to_come(zone: timezone | None) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=30)
    header = format_datetime(moment.astimezone(zone) if zone else moment.replace(tzinfo=None))
    wait_s = retry_after_s(header)
    assert wait_s is not None
    assert 27 < wait_s <= 30
