"""The worker's loops behind a real socket, with the test as the HTTP process and a spelling machine as the model."""

import pickle
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.common.isolation import checkpoint
from services.common.worker.batching import BatchingLoop
from services.common.worker.channel import packed
from services.common.worker.continuous_batching import ContinuousBatchingLoop
from services.common.worker.inbox import Inbox
from services.common.worker.loop import WorkerLoop
from services.common.worker.messages import Begun, Cancel, Delta, Job, Loaded, Replied, Reply
from services.wire.errors import DeadlineError, InternalError, InvalidRequestError
from tests.unit.common.http.serving import answer
from tests.unit.common.worker.processes import job

ANSWER = answer()


class Spelling:
    """Emits one letter of a job's name per step; ``!`` fails at the start, ``?`` in a step; ``-`` takes long."""

    max_batch_size = 2
    batch_timeout = 0.05

    def __init__(self) -> None:
        self.left: dict[str, list[str]] = {}
        self.most = 0
        self.batches: list[list[str]] = []

    def begin(self, taken: Job[Any]) -> Iterable[Reply]:
        if taken.id == "refused":
            return [InvalidRequestError("no")]
        if "!" in taken.id:
            raise RuntimeError(taken.id)
        _compute(taken.id)
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

    def drop(self, job_id: str) -> None:
        self.left.pop(job_id, None)

    def answer(self, jobs: list[Job[Any]]) -> list[Reply]:
        self.batches.append([each.id for each in jobs])
        if any("!" in each.id for each in jobs):
            raise RuntimeError
        for each in jobs:
            _compute(each.id)
        return [ANSWER for _ in jobs]


def _compute(name: str) -> None:
    """Ten seconds for each ``-``, in pieces."""
    for _ in range(1000 * name.count("-")):
        checkpoint()
        time.sleep(0.01)


class Http:
    """The HTTP process's end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._incoming = channel.makefile("rb")
        self.heard: list[Any] = []

    def tell(self, *messages: object) -> None:
        self._channel.sendall(b"".join(map(packed, messages)))

    def close(self) -> None:
        self._incoming.close()
        self._channel.close()

    def hear(self, until: Any) -> list[Any]:
        """Everything up to a message for which ``until`` holds."""
        while not (self.heard and until(self.heard[-1])):
            (length,) = struct.unpack(">Q", self._incoming.read(8))
            self.heard.append(pickle.loads(self._incoming.read(length)))  # noqa: S301 our own bytes
        return self.heard

    def replies_until_ends_of(self, *names: str) -> list[tuple[str, Reply]]:
        """Every reply until each of these jobs has its end."""
        left = set(names)

        def was_last(message: Any) -> bool:
            if isinstance(message, Replied) and not isinstance(message.reply, Delta):
                left.discard(message.job_id)
            return not left

        return [(each.job_id, each.reply) for each in self.hear(was_last) if isinstance(each, Replied)]


@contextmanager
def working(loop: WorkerLoop, api: Spelling, folder: Path) -> Iterator[Http]:
    """The loop in a thread, connected."""
    path = folder / "worker"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        stopped = threading.Event()

        def run() -> None:
            inbox = Inbox(path, at_end=lambda: None)
            while not stopped.is_set():
                loop.turn(api, inbox)

        thread = threading.Thread(target=run)
        thread.start()
        channel, _ = listening.accept()
        http = Http(channel)
        assert http.hear(lambda message: isinstance(message, Loaded))
        yield http
        stopped.set()
        thread.join()
        http.close()


def of(replies: list[tuple[str, Reply]], name: str) -> list[Any]:
    return [reply for job_id, reply in replies if job_id == name]


def test_jobs_are_written_side_by_side_within_the_bound(tmp_path: Path) -> None:
    api = Spelling()
    with working(ContinuousBatchingLoop(), api, tmp_path) as http:
        http.tell(job("longest"), job("ab"), job("c"))
        replies = http.replies_until_ends_of("longest", "ab", "c")
    assert api.most == 2
    for name in ("longest", "ab", "c"):
        assert of(replies, name) == [*map(Delta, name), ANSWER]
    ends = [job_id for job_id, reply in replies if reply == ANSWER]
    assert ends[-1] == "longest", "a short answer does not wait for a long one"
    assert [each.job_id for each in http.heard if isinstance(each, Begun)] == ["longest", "ab", "c"]


def test_a_defect_on_one_job_leaves_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with working(ContinuousBatchingLoop(), Spelling(), tmp_path) as http:
        http.tell(job("ab"), job("bad!"), job("refused"), job("cd"))
        replies = http.replies_until_ends_of("ab", "bad!", "refused", "cd")
    (failure,) = of(replies, "bad!")
    assert isinstance(failure, InternalError)
    assert "bad!" in failure.message
    assert [str(error) for error in of(replies, "refused")] == ["no"]
    for name in ("ab", "cd"):
        assert of(replies, name) == [*map(Delta, name), ANSWER]
    (record,) = caplog.records
    assert record.exc_info
    assert "bad!" in record.getMessage()


def test_a_defect_in_a_step_ends_what_is_under_way_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = Spelling()
    with working(ContinuousBatchingLoop(), api, tmp_path) as http:
        http.tell(job("a?"), job("bcd"), job("ef"))
        replies = http.replies_until_ends_of("a?", "bcd", "ef")
    for name in ("a?", "bcd"):
        assert [type(reply) for reply in of(replies, name) if not isinstance(reply, Delta)] == [InternalError]
    assert of(replies, "ef") == [*map(Delta, "ef"), ANSWER]
    assert api.left == {}
    (record,) = caplog.records
    assert record.getMessage() == "step with 2 jobs failed"


@pytest.mark.parametrize("loop", [BatchingLoop, ContinuousBatchingLoop])
def test_a_job_of_ten_seconds_ends_at_its_next_piece_when_it_is_cancelled(
    loop: type[WorkerLoop], tmp_path: Path
) -> None:
    with working(loop(), Spelling(), tmp_path) as http:
        http.tell(job("long-", timeout_s=60), job("ab"))
        http.hear(lambda message: message == Begun("long-"))
        started_s = time.monotonic()
        http.tell(Cancel("long-"))
        if loop is BatchingLoop:  # its batch goes on for the other job, and ends when that is cancelled too
            http.tell(Cancel("ab"))
        replies = http.replies_until_ends_of("long-", "ab")
        assert time.monotonic() - started_s < 5
    assert [type(reply) for reply in of(replies, "long-")] == [DeadlineError]
    if loop is ContinuousBatchingLoop:
        assert of(replies, "ab") == [*map(Delta, "ab"), ANSWER]


@pytest.mark.parametrize("loop", [BatchingLoop, ContinuousBatchingLoop])
def test_a_job_whose_deadline_passes_ends_at_its_next_piece(loop: type[WorkerLoop], tmp_path: Path) -> None:
    with working(loop(), Spelling(), tmp_path) as http:
        started_s = time.monotonic()
        http.tell(job("long-", timeout_s=0.3))
        replies = http.replies_until_ends_of("long-")
        assert 0.25 < time.monotonic() - started_s < 5
    assert [type(reply) for reply in of(replies, "long-")] == [DeadlineError]


@pytest.mark.parametrize("loop", [BatchingLoop, ContinuousBatchingLoop])
def test_a_job_that_nobody_waits_for_is_never_begun(loop: type[WorkerLoop], tmp_path: Path) -> None:
    api = Spelling()
    api.max_batch_size = 1
    with working(loop(), api, tmp_path) as http:
        http.tell(job("first-", timeout_s=0.3))
        http.hear(lambda message: message == Begun("first-"))
        http.tell(job("cancelled"), job("late", timeout_s=0.1), job("ab"), Cancel("cancelled"))
        replies = http.replies_until_ends_of("cancelled", "late", "ab")
    assert [each.job_id for each in http.heard if isinstance(each, Begun)] == ["first-", "ab"]
    assert [type(of(replies, name)[0]) for name in ("cancelled", "late")] == [DeadlineError] * 2
    assert of(replies, "ab")[-1] == ANSWER


def test_a_batch_waits_for_its_second_job_and_a_bad_batch_is_answered(tmp_path: Path) -> None:
    api = Spelling()
    with working(BatchingLoop(), api, tmp_path) as http:
        http.tell(job("a"), job("b"), job("c"))
        assert http.replies_until_ends_of("a", "b", "c") == [("a", ANSWER), ("b", ANSWER), ("c", ANSWER)]
        http.tell(job("d!"))
        failure = http.replies_until_ends_of("d!")[-1][1]
        http.tell(job("e"))
        assert http.replies_until_ends_of("e")[-1] == ("e", ANSWER)
    assert isinstance(failure, InternalError)
    assert api.batches == [["a", "b"], ["c"], ["d!"], ["e"]]
