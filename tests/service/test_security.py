"""The real server with a certificate and keys: what is closed, what is open, what it says, and how clients enter."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from clients.launcher import free_port
from loadtests import profile
from loadtests.errors import LoadTestError
from loadtests.run import Plan, run
from tests.certificates import self_signed
from tests.conftest import SAMPLES

KEY = "dashboard-0123456789"


@dataclass(frozen=True, slots=True)
class Secured:
    """A service with a certificate and a file of keys, and its log."""

    url: str
    cert: Path
    keys: Path
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", int(self.url.rpartition(":")[2])


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    cert, key = self_signed(tmp_path)
    keys, port, log = tmp_path / "keys", free_port(), tmp_path / "log"
    keys.write_text(KEY)
    options = ["--port", str(port), "--tls-cert", str(cert), "--tls-key", str(key), "--api-keys-file", str(keys)]
    url = f"https://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "services.matcha", "--threads", "1", *options], stderr=output)
    try:
        while f"ready on {url}, docs at {url}/docs" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        yield Secured(url, cert, keys, log)
    finally:
        process.terminate()
        assert process.wait(40) == 0
    assert KEY not in log.read_text()


def test_https_with_keys(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=secured.cert)
    right, other = {"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer another-key-0123456789"}
    refused = 'requests_unanswered_total{outcome="refused",reason="invalid_api_key"}'
    with httpx.Client(base_url=secured.url, verify=context, trust_env=False) as client:
        ready = client.get("/ready")
        assert (ready.status_code, "server" in ready.headers) == (200, False)
        assert ready.headers["x-content-type-options"] == "nosniff"
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers=right).status_code == 200
        assert f"{refused} 1.0" in client.get("/metrics", headers=right).text
        secured.keys.write_text("another-key-0123456789")
        assert client.get("/v1/models", headers=right).status_code == 401
        assert f"{refused} 2.0" in client.get("/metrics", headers=other).text
    lines = [json.loads(line) for line in secured.log.read_text().splitlines()]
    told = [(line["message"], line["route"], line["code"]) for line in lines if line.get("status") == 401]
    assert told == [("request", "/v1/models", "invalid_api_key")] * 2
    with (
        socket.create_connection(secured.address) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(f"GET {secured.url}/live HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert secure.recv(99).startswith(b"HTTP/1.1 401"), "the path of an absolute target is not /live"


def replay(secured: Secured, out: Path) -> subprocess.CompletedProcess[str]:
    asked = ["--task", "realcqa", "--data", str(SAMPLES / "realcqa"), "--limit", "2", "--url", secured.url]
    command = [sys.executable, "-m", "clients.replay", "run", *asked, "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_clients_take_key_and_certificate_from_the_environment(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Plan("matcha", profile.load("smoke", ["duration_s=1", "warm_up_s=0"]), tmp_path / "load", url=secured.url)
    untrusted = replay(secured, tmp_path / "untrusted")
    assert (untrusted.returncode, "certificate verify failed" in untrusted.stderr) == (1, True)

    monkeypatch.setenv("SSL_CERT_FILE", str(secured.cert))
    keyless = replay(secured, tmp_path / "keyless")
    sentence = f"{secured.url} needs an API key: set TALLYGLASS_API_KEY to one of the service's keys.\n"
    assert (keyless.returncode, keyless.stderr) == (1, sentence)
    assert not (tmp_path / "keyless" / "outcomes.jsonl").exists()
    with pytest.raises(LoadTestError, match="needs an API key: set TALLYGLASS_API_KEY"):
        run(Plan("matcha", load.profile, tmp_path / "keyless-load", url=secured.url))

    monkeypatch.setenv("TALLYGLASS_API_KEY", KEY)
    answered = replay(secured, tmp_path / "answered")
    assert (answered.returncode, "2 answered, 0 failed" in answered.stdout) == (0, True), answered.stderr
    summary = run(load)
    assert summary.answered == summary.requests > 0

    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != secured.keys]
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
