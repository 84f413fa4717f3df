"""A no-op service: answers every question immediately, with a trace of 29 layers."""

import http.server
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.replay.synthetic import LAYERS
from clients.launcher import launched

_LAYER: Final = {
    "top": [{"token": str(rank), "token_id": rank, "prob": 0.123456789} for rank in range(5)],
    "entropy": 1.23456789,
    "answer_prob": 0.123456789,
    "answer_rank": 0,
}
ANSWER: Final = json.dumps(
    {
        "id": "ans-0",
        "model": "noop",
        "variant": "fp32",
        "answer": "3",
        "finish_reason": "stop",
        "usage": {"image_tokens": 324, "prompt_tokens": 360, "completion_tokens": 2},
        "timing": {"queue_ms": 0.0, "preprocess_ms": 0.0, "inference_ms": 0.0, "total_ms": 0.0},
        "lens": {
            "num_layers": LAYERS - 1,
            "steps": [{"token": "3", "token_id": 3, "layers": [{"layer": layer, **_LAYER} for layer in range(LAYERS)]}],
        },
    }
).encode()
_MODELS: Final = json.dumps(
    {"data": [{"id": "noop", "variant": "fp32", "revision": "0", "manifest_sha256": "0"}]}
).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(_MODELS)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(ANSWER)

    def _send(self, payload: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: killed clients drop their connections."""


@contextmanager
def serving() -> Iterator[str]:
    """Run the service in a separate process during the block, and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.replay.noop"]
    with (
        tempfile.TemporaryDirectory() as scratch,
        launched("noop", command, Path(scratch) / "log", up="/v1/models") as server,
    ):
        yield server.url


if __name__ == "__main__":
    _Server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), _Handler).serve_forever()
