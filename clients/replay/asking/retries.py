"""Retries: while the service is busy, starting or draining, or when the connection broke.

Other refusals are final, and a question that timed out is not retried: it would take just as long again.
"""

import email.utils
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, wait_exponential_jitter

from clients.replay.run.outcomes import Failure, FailureKind
from clients.replay.run.replies import Reply

LONGEST_WAIT_S: Final = 60.0
_BUSY: Final = frozenset({429, 503})
_BACKOFF: Final = wait_exponential_jitter(multiplier=0.25, max=15.0, jitter=0.25)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The last reply to a question, when that attempt was sent and how long it took, and what preceded it."""

    reply: Reply
    sent_at_s: float
    latency_ms: float
    attempts: int
    waited_ms: float


async def ask_patiently(ask: Callable[[], Awaitable[Reply]], retries: int) -> Attempts:
    """Ask, with up to ``retries`` retries of transient failures.

    Waits as long as ``Retry-After`` says, at most a minute; without it, backs off exponentially with jitter.
    """
    started, attempts, sent_at_s, latency_ms = time.perf_counter(), 0, 0.0, 0.0

    async def once() -> Reply:
        nonlocal attempts, sent_at_s, latency_ms
        attempts, sent_at_s, sent = attempts + 1, time.time(), time.perf_counter()
        reply = await ask()
        latency_ms = (time.perf_counter() - sent) * 1000
        return reply

    reply: Reply = await AsyncRetrying(
        retry=retry_if_result(is_passing),
        stop=stop_after_attempt(retries + 1),
        wait=_wait_s,
        retry_error_callback=_last_reply,
    )(once)
    waited_ms = max((time.perf_counter() - started) * 1000 - latency_ms, 0.0) if attempts > 1 else 0.0
    return Attempts(reply, sent_at_s, latency_ms, attempts, waited_ms)


def is_passing(reply: Reply) -> bool:
    """Whether a reply is a transient failure."""
    if not isinstance(reply, Failure):
        return False
    return reply.kind is FailureKind.CONNECTION or (reply.kind is FailureKind.HTTP_STATUS and reply.status in _BUSY)


def retry_after_s(header: str | None) -> float | None:
    """The wait that a ``Retry-After`` header requests, in seconds; it may be a number of seconds or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _wait_s(state: RetryCallState) -> float:
    reply = _last_reply(state)
    requested_s = reply.retry_after_s if isinstance(reply, Failure) else None
    return float(_BACKOFF(state)) if requested_s is None else min(requested_s, LONGEST_WAIT_S)


def _last_reply(state: RetryCallState) -> Reply:
    if state.outcome is None:
        message = "there is no reply before the first attempt"
        raise RuntimeError(message)
    reply: Reply = state.outcome.result()
    return reply
