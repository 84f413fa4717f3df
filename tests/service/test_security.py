"""The real server with a certificate and keys: what is closed, what is open, and what it says."""

import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx

from clients.launcher import free_port
from tests.certificates import self_signed

KEY = "dashboard-0123456789"


def test_https_with_keys(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    keys, port, log = tmp_path / "keys", free_port(), tmp_path / "log"
    keys.write_text(KEY)
    options = ["--port", str(port), "--tls-cert", str(cert), "--tls-key", str(key), "--api-keys-file", str(keys)]
    url = f"https://127.0.0.1:{port}"
    context = ssl.create_default_context(cafile=cert)
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "services.matcha", "--threads", "1", *options], stderr=output)
    try:
        while f"ready on {url}, docs at {url}/docs" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        with httpx.Client(base_url=url, verify=context, trust_env=False) as client:
            ready = client.get("/ready")
            assert (ready.status_code, "server" in ready.headers) == (200, False)
            assert ready.headers["x-content-type-options"] == "nosniff"
            assert client.get("/v1/models").status_code == 401
            assert client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
            told = client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
            assert 'requests_unanswered_total{outcome="refused",reason="invalid_api_key"} 1.0' in told
            keys.write_text("another-key-0123456789")
            assert client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 401
            told = client.get("/metrics", headers={"Authorization": "Bearer another-key-0123456789"}).text
            assert 'requests_unanswered_total{outcome="refused",reason="invalid_api_key"} 2.0' in told
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(f"GET {url}/live HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert secure.recv(99).startswith(b"HTTP/1.1 401"), "the path of an absolute target is not /live"
    finally:
        process.terminate()
        assert process.wait(40) == 0
    assert KEY not in log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    refused = [(line["message"], line["route"], line["code"]) for line in lines if line.get("status") == 401]
    assert refused == [
        ("request", "/v1/models", "invalid_api_key"),
        ("request", "/v1/models", "invalid_api_key"),
        ("request", f"{url}/live", "invalid_api_key"),
    ]
