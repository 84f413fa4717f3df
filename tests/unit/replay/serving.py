"""A real service on a loopback port that answers 3 to everything, after a delay."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

MODELS = {"data": [{"id": "m", "variant": "fp32", "revision": "r", "manifest_sha256": "ab"}]}
ANSWER = {
    "id": "a",
    "model": "m",
    "variant": "fp32",
    "answer": "3",
    "finish_reason": "stop",
    "usage": {"image_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1},
    "timing": {"queue_ms": 1, "preprocess_ms": 1, "inference_ms": 1, "total_ms": 3},
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every question; ``status`` and ``delay_s`` can be changed, ``asked`` records the bodies."""

    status = 200
    delay_s = 0.02
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        self._send(200, MODELS)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        time.sleep(self.delay_s)
        self._send(200 if body["question"] == "How many?" else self.status, ANSWER)

    def _send(self, status: int, content: object) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """No logging."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """No logging: a killed client disconnects."""


@contextmanager
def serving() -> Iterator[str]:
    """Run the service while the block runs; yields its URL."""
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
