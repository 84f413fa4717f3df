"""A worker that hangs or dies, clients that leave, deadlines and the end of the service, against running services."""

import base64
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from clients.launcher import Service, launched, running

QUESTION = "How many bars are there?"


@pytest.fixture
def asked(png: bytes) -> dict[str, Any]:
    return {"image": base64.b64encode(png).decode(), "question": QUESTION}


def worker_of(service: Service) -> psutil.Process:
    children = psutil.Process(service.process.pid).children(recursive=True)
    return max(children, key=lambda child: int(child.memory_info().rss))


@contextmanager
def in_flight(service: Service, body: dict[str, Any], count: int) -> Iterator[list["Future[httpx.Response]"]]:
    """So many requests that are being answered, on connections of their own."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(httpx.post, f"{service.url}/v1/answer", json=body, timeout=60) for _ in range(count)]
        deadline_s = time.monotonic() + 10
        while f"tallyglass_requests_in_flight {count}.0" not in httpx.get(f"{service.url}/metrics").text:
            assert time.monotonic() < deadline_s, "the requests were never in flight"
            time.sleep(0.01)
        yield futures


def statuses(futures: list["Future[httpx.Response]"]) -> list[int]:
    return [future.result(timeout=30).status_code for future in futures]


def wait_for(url: str, status: int, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while httpx.get(url).status_code != status:
        assert time.monotonic() < deadline_s, f"{url} never answered {status}"
        time.sleep(0.05)


def test_a_worker_that_hangs_is_noticed_and_nobody_waits_for_it_beyond_a_deadline(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    with running("matcha", tmp_path / "log", "--stuck-after-s", "2", "--drain-s", "0.5") as service:
        expected = httpx.post(f"{service.url}/v1/answer", json=asked).json()["answer"]
        worker = worker_of(service)
        worker.suspend()
        started_s = time.monotonic()
        late = httpx.post(f"{service.url}/v1/answer", json=asked, headers={"Request-Timeout-Ms": "300"})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert 0.3 <= time.monotonic() - started_s < 5
        wait_for(f"{service.url}/ready", 503, within_s=5)
        assert httpx.get(f"{service.url}/live").status_code == 200
        refused = httpx.post(f"{service.url}/v1/answer", json=asked)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        wait_for(f"{service.url}/live", 503, within_s=8)
        worker.resume()
        wait_for(f"{service.url}/ready", 200, within_s=5)

        worker.suspend()  # so that nothing is answered before the signal
        with in_flight(service, asked, 4) as futures, httpx.Client() as kept:
            assert kept.get(f"{service.url}/live").headers.get("connection") != "close"
            service.process.send_signal(signal.SIGTERM)
            wait_for(f"{service.url}/ready", 503, within_s=2)
            time.sleep(1.5)  # the grace time is over, and those who come are still told
            assert httpx.get(f"{service.url}/ready").status_code == 503
            turned_away = kept.post(f"{service.url}/v1/answer", json=asked)
            assert (turned_away.status_code, turned_away.json()["error"]["code"]) == (503, "not_ready")
            assert turned_away.json()["error"]["message"] == "the server is stopping: try again in a moment"
            assert (turned_away.headers["connection"], turned_away.headers["retry-after"]) == ("close", "1")
            worker.resume()
            assert statuses(futures) == [200] * 4
            assert [future.result().json()["answer"] for future in futures] == [expected] * 4
        assert service.process.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}/live")


def test_a_worker_that_is_killed_fails_its_requests_at_once_and_ends_the_service(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    with running("qwen_vl", tmp_path / "log") as service:
        worker = worker_of(service)
        worker.suspend()
        with in_flight(service, asked, 12) as futures:
            killed_s = time.monotonic()
            worker.kill()
            assert statuses(futures) == [503] * 12
            assert time.monotonic() - killed_s < 5
            assert {future.result().json()["error"]["code"] for future in futures} == {"not_ready"}
        assert service.process.wait(10) == 1


def test_a_worker_that_is_killed_is_started_anew_if_that_is_set(tmp_path: Path, asked: dict[str, Any]) -> None:
    with running("matcha", tmp_path / "log", "--restart-worker", "--threads", "1") as service:
        expected = httpx.post(f"{service.url}/v1/answer", json=asked).json()["answer"]
        worker = worker_of(service)
        worker.suspend()
        with in_flight(service, asked, 6) as futures:
            worker.kill()
            assert statuses(futures) == [200] * 6, "none of them had begun: they wait for the next worker"
            assert {future.result().json()["answer"] for future in futures} == {expected}
        assert worker_of(service).pid != worker.pid

        heavy = {**asked, "max_patches": 4096}
        for _ in range(30):  # each would take a good part of a second
            with pytest.raises(httpx.TimeoutException):
                httpx.post(f"{service.url}/v1/answer", json=heavy, timeout=0.05)
        assert httpx.post(f"{service.url}/v1/answer", json={**asked, "timeout_s": 3}).status_code == 200
        counted = httpx.get(f"{service.url}/metrics").text
        assert "tallyglass_requests_in_flight 0.0" in counted
    logged = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(line.get("status") == 499 for line in logged) == 30


def test_http_is_up_while_the_model_loads_and_refuses_until_it_has(tmp_path: Path, asked: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "services.matcha", "--drain-s", "0"]
    with launched("matcha", command, tmp_path / "log", up="/live") as service:
        assert httpx.get(f"{service.url}/ready").status_code == 503
        refused = httpx.post(f"{service.url}/v1/answer", json=asked)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        wait_for(f"{service.url}/ready", 200, within_s=60)
        assert httpx.post(f"{service.url}/v1/answer", json=asked).status_code == 200


def test_one_runs_one_waits_and_ten_are_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with running("matcha", tmp_path / "log", "--max-requests", "2") as service:
        worker = worker_of(service)
        worker.suspend()
        with in_flight(service, asked, 2) as futures:
            for _ in range(10):
                refused = httpx.post(f"{service.url}/v1/answer", json=asked)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
                assert refused.json()["error"]["code"] == "overloaded"
            with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as raw:
                raw.sendall(b"POST /v1/answer HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
                assert raw.recv(12) == b"HTTP/1.1 429", "before the body is read"
            worker.resume()
            assert statuses(futures) == [200, 200]
