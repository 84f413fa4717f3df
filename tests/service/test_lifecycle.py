"""How a service starts, refuses to start, and stops."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from clients.launcher import Service, free_port, running
from services.common.artifact.manifest import Manifest, sums_of, write_manifest

MODELS = Path(__file__).parents[2] / "models"
FOLDERS = {"matcha": MODELS / "tiny-matcha", "qwen_vl": MODELS / "tiny-qwen2-vl"}


def start(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"services.{name}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def family(service: Service) -> list[psutil.Process]:
    main = psutil.Process(service.process.pid)
    return [main, *main.children(recursive=True)]


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)  # Python's resource tracker exits a moment after its parent
    assert not alive


@pytest.mark.parametrize("name", ["matcha", "qwen_vl"])
def test_sigterm_ends_cleanly_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    with running(name, tmp_path / "log") as service:
        processes = family(service)
        assert len(processes) > 2
        while "ready on" not in (tmp_path / "log").read_text():  # it is, and says so within a moment
            time.sleep(0.05)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    assert_gone(processes)
    lines = (tmp_path / "log").read_text().splitlines()
    messages = [json.loads(line)["message"] for line in lines]  # every line is JSON
    assert messages[0] == "loading"
    assert messages[-2:] == [f"ready on {service.url}, docs at {service.url}/docs", "stopped"]


def test_requests_begun_are_answered_before_the_end(tmp_path: Path, png: bytes) -> None:
    with running("matcha", tmp_path / "log", "--threads", "1") as service:
        replies: list[httpx.Response] = []
        body = {"image": base64.b64encode(png).decode(), "question": "How many?", "max_patches": 4096}

        def ask() -> None:
            replies.append(httpx.post(f"{service.url}/v1/answer", json=body, timeout=60))

        threads = [threading.Thread(target=ask) for _ in range(4)]  # enough that all can be observed in flight
        for thread in threads:
            thread.start()
        _wait_for_in_flight(service, len(threads))
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        for thread in threads:
            thread.join()
    assert [reply.status_code for reply in replies] == [200] * len(threads)
    text = (tmp_path / "log").read_text()
    logged = [line for line in map(json.loads, text.splitlines()) if line["message"] == "request"]
    assert {line["id"] for line in logged} == {reply.headers["x-request-id"] for reply in replies}
    assert [line["status"] for line in logged] == [200] * len(threads)
    assert "How many" not in text
    assert base64.b64encode(png).decode()[:32] not in text


def test_the_worker_computes_in_huge_pages(service: Service) -> None:
    worker = max(family(service), key=lambda process: process.memory_info().rss)
    assert worker.environ()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert worker.environ()["GOMP_SPINCOUNT"] == "10000"


def test_no_answer_in_time_is_504_and_the_next_one_is_answered(tmp_path: Path, png: bytes) -> None:
    body = {"image": base64.b64encode(png).decode(), "question": "How many?"}
    with running("matcha", tmp_path / "log", "--timeout-s", "0.4", "--threads", "1") as service:
        late = httpx.post(f"{service.url}/v1/answer", json={**body, "max_patches": 4096}, timeout=60)
        assert late.status_code == 504
        assert late.json()["error"]["code"] == "deadline_exceeded"
        for _ in range(100):  # the worker finishes what it started; generation cannot be interrupted yet
            if httpx.post(f"{service.url}/v1/answer", json=body, timeout=60).status_code == 200:
                return
    pytest.fail("the service never answered again")


def test_the_variant_asked_for_is_served(tmp_path: Path, png: bytes) -> None:
    body = {"image": base64.b64encode(png).decode(), "question": "How many shapes are there?", "lens": {"top_k": 1}}
    with running("qwen_vl", tmp_path / "log", "--variant", "bf16", "--threads", "1") as service:
        answer = httpx.post(f"{service.url}/v1/answer", json=body, timeout=60).json()
        assert answer["variant"] == "bf16"
        assert answer["lens"]["steps"][0]["layers"][-1]["answer_rank"] == 0
        assert httpx.get(f"{service.url}/v1/models").json()["data"][0]["variant"] == "bf16"


def _wait_for_in_flight(service: Service, count: int) -> None:
    with httpx.Client(base_url=service.url) as client:
        for _ in range(1000):
            if f"tallyglass_requests_in_flight {count}.0" in client.get("/metrics").text:
                return
            time.sleep(0.005)
    pytest.fail("the requests were never in flight")


def test_ctrl_c_while_loading_ends_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.qwen_vl", "--port", str(free_port())]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        while "loading" not in (tmp_path / "log").read_text():
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert_gone(children)


def test_a_stop_signal_inside_an_exec_ends_with_0() -> None:
    """CPython exits by SIGINT, whatever the exit code, after a KeyboardInterrupt inside ``exec``."""
    program = """if True:
        from services.common.processes import StopSignal
        StopSignal()
        try:
            exec("import time; print('waiting', flush=True); time.sleep(30)")
        except KeyboardInterrupt:
            pass
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def _connected(process: psutil.Process, port: int | None) -> bool:
    """Whether the process has a client connected on ``port``."""
    connections = process.net_connections("tcp")
    return any(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in connections)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_however_the_main_process_dies_the_others_end_and_the_port_is_free(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running("matcha", tmp_path / "log") as service:
        processes = family(service)
        assert len(processes) > 3
        service.process.send_signal(number)
        assert service.process.wait(10) == -number
        assert_gone(processes)
        socket.create_server(("127.0.0.1", int(service.url.rpartition(":")[2]))).close()


def test_a_terminal_that_is_closed_stops_the_service_cleanly(tmp_path: Path, png: bytes) -> None:
    """The hang-up reaches every process of the session; what has begun is answered all the same."""
    with running("matcha", tmp_path / "log", "--threads", "1") as service:
        processes = family(service)
        body = {"image": base64.b64encode(png).decode(), "question": "How many?", "max_patches": 4096}
        with ThreadPoolExecutor(4) as pool:  # enough that all can be observed in flight
            replies = [pool.submit(httpx.post, f"{service.url}/v1/answer", json=body, timeout=60) for _ in range(4)]
            _wait_for_in_flight(service, 4)
            os.killpg(service.process.pid, signal.SIGHUP)
            assert [reply.result().status_code for reply in replies] == [200] * 4
        assert service.process.wait(30) == 0
    assert_gone(processes)


@pytest.mark.parametrize("part", ["worker", "http"])
def test_a_process_that_dies_ends_the_service(part: str, tmp_path: Path) -> None:
    with running("matcha", tmp_path / "log") as service:
        processes = family(service)
        main, *children = processes
        with httpx.Client(base_url=service.url) as client:
            client.get("/live")
            http = next(child for child in children if _connected(child, client.base_url.port))
        worker = max(children, key=lambda child: child.memory_info().rss)
        assert main.pid not in {worker.pid, http.pid}
        os.kill({"worker": worker, "http": http}[part].pid, signal.SIGKILL)
        assert service.process.wait(60) == 1
    assert_gone(processes)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["level"] for line in lines][-1] == "ERROR"  # and every line is JSON


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = start("matcha", "--port", port)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--port", "80"], "port: "),
        (["--threads", "none"], "threads: "),
        (["--variant", "int3"], "variant: "),
        (["--no-such-option", "1"], "no-such-option"),
    ],
)
def test_a_wrong_setting_is_named(options: list[str], reason: str) -> None:
    ended = start("matcha", *options)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHA_PORT", "12")
    assert "port: " in start("matcha").stderr


@pytest.mark.parametrize("name", ["matcha", "qwen_vl"])
def test_a_missing_folder_is_named(name: str, tmp_path: Path) -> None:
    ended = start(name, "--model", str(tmp_path / "nowhere"))
    assert ended.returncode == 1
    assert "nowhere is not a folder" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["matcha", "qwen_vl"])
def test_half_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDERS[name], tmp_path / "half")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    ended = start(name, "--model", str(folder))
    assert ended.returncode == 1
    assert "cannot serve: " in ended.stderr
    assert "model.safetensors does not match" in ended.stderr
    assert "could not load the model" not in ended.stderr


@pytest.mark.parametrize(("name", "other"), [("matcha", "qwen_vl"), ("qwen_vl", "matcha")])
def test_another_architecture_is_refused(name: str, other: str) -> None:
    ended = start(name, "--model", str(FOLDERS[other]))
    assert ended.returncode == 1
    assert "name another folder" in ended.stderr


@pytest.mark.parametrize("name", ["matcha", "qwen_vl"])
def test_weights_that_do_not_load_are_one_sentence(name: str, tmp_path: Path) -> None:
    """The checksums match, but the file is not safetensors."""
    folder = shutil.copytree(FOLDERS[name], tmp_path / "odd")
    (folder / "model.safetensors").write_bytes(b"these are no weights")
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    sums = sums_of(folder, list(manifest.sha256))
    write_manifest(folder, manifest.model_copy(update={"sha256": sums}))
    ended = start(name, "--model", str(folder), "--port", str(free_port()))
    assert ended.returncode == 1
    loading, failed = map(json.loads, ended.stderr.splitlines())
    assert (loading["message"], failed["level"]) == ("loading", "ERROR")
    assert failed["message"].startswith(f"cannot serve: the model in {folder} cannot be read (")
    assert failed["message"].endswith("): download or prepare the model again")
    assert "exc_info" not in failed


def test_a_worker_killed_while_it_loads_is_one_sentence(tmp_path: Path) -> None:
    """As the system does when memory runs out."""
    command = [sys.executable, "-m", "services.matcha", "--port", str(free_port())]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        while not (workers := [child for child in psutil.Process(process.pid).children() if _is_spawned(child)]):
            time.sleep(0.05)
        workers[0].kill()
        assert process.wait(30) == 1
    finally:
        process.kill()
    *_, last = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert last["message"].startswith("cannot serve: the worker was killed while the model was loading, most likely")


def _is_spawned(process: psutil.Process) -> bool:
    return "from multiprocessing.spawn" in " ".join(process.cmdline())
