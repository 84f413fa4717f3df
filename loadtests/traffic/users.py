"""Locust users: sources of requests due at given times (open loop), or users who wait for each answer (closed loop)."""

import time
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import ClassVar

import gevent
from gevent.pool import Group
from locust import User, task
from locust.exception import StopUser

from loadtests.profile import Profile
from loadtests.traffic.arrivals import poisson
from loadtests.traffic.asking import Asker
from loadtests.traffic.questions import Ask, Questions
from loadtests.traffic.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Session:
    """What the users of one process share."""

    profile: Profile
    questions: Questions
    asker: Asker
    recorder: Recorder
    worker: int


class LoadUser(User):
    """Base of both kinds of user; ``session`` is set before the first one is created."""

    abstract = True
    session: ClassVar[Session]
    _numbers: ClassVar["count[int]"] = count()

    def on_start(self) -> None:
        """Start this user's clock and questions."""
        self.source = f"{self.session.worker}.{next(LoadUser._numbers)}"
        self.started_s, self.started_at_s = perf_counter(), time.time()
        self.asks = self.session.questions.stream(self.source)

    def now_s(self) -> float:
        """Seconds since this user started."""
        return perf_counter() - self.started_s

    def ask(self, ask: Ask, due_s: float) -> None:
        """Ask one question that was due at this time, and record its outcome."""
        session, sent_s = self.session, self.now_s()
        reply = session.asker.ask(ask)
        latency_ms = (self.now_s() - sent_s) * 1000
        due_at_s, sent_at_s = self.started_at_s + due_s, self.started_at_s + sent_s
        result = ask.outcome(reply, intended_at_s=due_at_s, sent_at_s=sent_at_s, latency_ms=latency_ms)
        session.recorder.record(result, warm_up=due_s < session.profile.warm_up_s)


class OpenLoopUser(LoadUser):
    """A source of arrivals that never waits for answers, so a slow service does not reduce the load."""

    @task
    def arrivals(self) -> None:
        """Send every request when it is due, then wait for those in flight."""
        profile, waiting = self.session.profile, Group()
        rate_per_s = (profile.rate_per_s or 0) / profile.users
        for due_s in poisson(rate_per_s, profile.total_s, f"{profile.seed}/{self.source}"):
            ask = next(self.asks)  # prepared before it is due
            gevent.sleep(max(0.0, due_s - self.now_s()))
            waiting.spawn(self.ask, ask, due_s)
        waiting.join()
        raise StopUser


class ClosedLoopUser(LoadUser):
    """A user who sends the next request as soon as the last is answered."""

    @task
    def next_question(self) -> None:
        """Ask one question."""
        if self.now_s() >= self.session.profile.total_s:
            raise StopUser
        self.ask(next(self.asks), self.now_s())
