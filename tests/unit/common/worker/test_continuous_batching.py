"""The worker's loop, with fakes for LitServe's queues at both ends."""

import queue
from collections.abc import Iterable
from typing import Any

import pytest
from litserve.utils import LitAPIStatus

from services.common.worker.continuous_batching import ContinuousBatchingLoop
from services.common.worker.messages import Delta, Job, Reply
from services.wire.contract import WireRequest
from services.wire.errors import InvalidRequestError
from tests.unit.common.http.serving import answer

ANSWER = answer()


def job(name: str) -> Job[WireRequest]:
    return Job(name, WireRequest(), enqueued_s=0, deadline_s=5, timeout_s=5)


class Spelling:
    """Emits one letter of a job's name per step; ``!`` fails at the start, ``?`` fails in a step."""

    max_batch_size = 2

    def __init__(self) -> None:
        self.left: dict[str, list[str]] = {}
        self.most = 0
        self.dropped: list[set[str]] = []

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
        self.dropped.append(set(self.left))
        self.left.clear()


class Transport:
    """Records what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, str]] = []

    def send(self, item: Any, consumer_id: int) -> None:
        job_id, (data, status, *_) = item
        assert consumer_id == len(job_id), "the HTTP process that asked, and no other"
        self.sent.append((job_id, data, status))


class Requests(queue.Queue[Any]):
    """Raises the stop where an idle loop would wait forever."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 as its base
        return (None, None, None, None) if block and self.empty() else super().get(block, timeout)


def run(*names: str) -> tuple[Spelling, list[tuple[str, Any, str]]]:
    api, transport, requests = Spelling(), Transport(), Requests()
    for name in names:
        requests.put((len(name), name, 0.0, job(name)))
    ContinuousBatchingLoop()(api, "cpu", 0, requests, transport, {}, None)
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


def test_jobs_are_taken_in_the_order_they_came() -> None:
    _, sent = run("abcd", "efgh", "i", "j")
    firsts = [data.text for _, data, _ in sent if isinstance(data, Delta)]
    assert firsts == list("abecfdghij"), "one is taken between two steps, and the next when one has ended"


def test_a_defect_on_one_job_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    _, sent = run("ab", "bad!", "refused", "cd")
    assert [(type(data), status) for job_id, data, status in sent if job_id == "bad!"] == [(bytes, LitAPIStatus.ERROR)]
    assert [str(error) for error in of(sent, "refused")] == [str(InvalidRequestError("no"))]
    for name in ("ab", "cd"):
        assert of(sent, name) == [*map(Delta, name), ANSWER]
        assert {status for job_id, _, status in sent if job_id == name} == {LitAPIStatus.OK}
    (record,) = caplog.records
    assert record.exc_info
    assert "bad!" in record.getMessage()


def test_a_defect_in_a_step_ends_what_is_under_way_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    api, sent = run("a?", "bcd", "ef")
    for name in ("a?", "bcd"):
        assert [status for job_id, _, status in sent if job_id == name][-1] == LitAPIStatus.ERROR
        assert sum(job_id == name and status == LitAPIStatus.ERROR for job_id, _, status in sent) == 1
    assert of(sent, "ef") == [*map(Delta, "ef"), ANSWER]
    assert api.dropped == [{"a?", "bcd"}]
    (record,) = caplog.records
    assert record.getMessage() == "step with 2 jobs failed"
