"""A service is started, awaited and stopped; a script replaces Python, so no model is loaded."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from clients import launcher
from clients.launcher import StartupError, free_port, running

SCRIPT = """#!{python}
import http.server, json, os, signal, sys
signal.signal(signal.SIGTERM, {on_term})
print("said", flush=True)
json.dump([sys.argv[1:], os.environ.get("OMP_WAIT_POLICY"), os.getsid(0), os.getpid()], open({told!r}, "w"))
left = {busy}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global left
        left -= 1
        self.send_response(404 if self.path != "/ready" else 503 if left >= 0 else 200)
        self.end_headers()
{then}
http.server.HTTPServer(("127.0.0.1", int(sys.argv[4])), Handler).serve_forever()
"""

Make = Callable[..., str]


@pytest.fixture
def python(tmp_path: Path) -> Make:
    """Creates a service that is not ready ``busy`` times, and does ``then`` before it listens."""

    def make(busy: int = 0, then: str = "", on_term: str = "signal.SIG_DFL") -> str:
        path = tmp_path / "python"
        told = str(tmp_path / "told.json")
        path.write_text(SCRIPT.format(python=sys.executable, told=told, busy=busy, then=then, on_term=on_term))
        path.chmod(0o755)
        return str(path)

    return make


def is_gone(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_it_is_started_with_its_options_awaited_and_stopped(python: Make, tmp_path: Path) -> None:
    with running("matcha", tmp_path / "log", "--threads", "3", python=python(busy=2)) as service:
        arguments, policy, session, pid = json.loads((tmp_path / "told.json").read_text())
        port = service.url.rpartition(":")[2]
        assert service.url == f"http://127.0.0.1:{port}"
        assert arguments == ["-m", "services.matcha", "--port", port, "--drain-s", "0", "--threads", "3"]
        assert (service.name, service.process.pid, policy) == ("matcha", pid, "PASSIVE")
        assert session == pid, "Ctrl-C must not reach it"
        assert service.process.poll() is None
    assert is_gone(pid)
    assert (tmp_path / "log").read_text().startswith("said\n")


def test_a_proxy_of_the_machine_is_not_asked(python: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with running("matcha", tmp_path / "log", python=python()) as service:
        assert service.process.poll() is None


def test_a_service_that_would_serve_https_is_not_started(
    python: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATCHA_TLS_CERT", "cert.pem")
    monkeypatch.setenv("matcha_tls_key", "key.pem")
    monkeypatch.setenv("QWEN_VL_TLS_KEY", "key.pem")
    with (
        pytest.raises(StartupError, match=r"for HTTP on loopback alone: unset MATCHA_TLS_CERT and matcha_tls_key$"),
        running("matcha", tmp_path / "log", python=python()),
    ):
        pass
    assert not (tmp_path / "told.json").exists()


def test_it_is_stopped_whatever_happens(python: Make, tmp_path: Path) -> None:
    with pytest.raises(KeyError), running("matcha", tmp_path / "log", python=python()) as service:
        raise KeyError
    assert is_gone(service.process.pid)


def test_a_service_that_exits_before_it_is_ready_is_reported_with_its_log(python: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(StartupError, match=f"qwen_vl exited with 7 before it was ready: see {log}"),
        running("qwen_vl", log, python=python(then="sys.exit(7)")),
    ):
        pass


@pytest.mark.parametrize("then", ["", "import time; time.sleep(60)"], ids=["never-ready", "never-listens"])
def test_what_is_not_ready_in_time_is_stopped(
    python: Make, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "READY_WITHIN_S", 0.6)
    with (
        pytest.raises(StartupError, match=f"matcha was not ready within 0.6 s: see {tmp_path / 'log'}"),
        running("matcha", tmp_path / "log", python=python(busy=10**9, then=then)),
    ):
        pass
    if (tmp_path / "told.json").exists():  # if it got that far
        assert is_gone(json.loads((tmp_path / "told.json").read_text())[3])


def test_what_does_not_end_when_told_to_is_killed(
    python: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "STOP_WITHIN_S", 0.3)
    with running("matcha", tmp_path / "log", python=python(on_term="signal.SIG_IGN")) as service:
        began_s = time.monotonic()
    assert 0.3 <= time.monotonic() - began_s < 10
    assert service.process.returncode == -9


def test_a_service_has_the_time_to_answer_what_it_has_begun() -> None:
    assert launcher.STOP_WITHIN_S > 30, "what a service gives itself"


def test_two_free_ports_are_two() -> None:
    assert len({free_port() for _ in range(5)}) > 1
