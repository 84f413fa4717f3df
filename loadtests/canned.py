"""A no-op server with canned answers, to measure the generator against, and to stall on purpose in tests.

``python -m loadtests.canned --port PORT [--stall-at-s S --stall-s S]``: ``stall-at-s`` after the second request it
stops answering for ``stall-s``, like a service in a long pause; requests that arrive meanwhile are answered at its end.
The time counts from the second request because the first is the load test's own check, seconds before Locust starts.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from services.wire.answer import AnswerResponse, ModelCard, ModelList, Timing, Usage

Message = MutableMapping[str, Any]  # Any: ASGI
_CARD = ModelCard(id="canned", variant="none", revision="0", manifest_sha256="0" * 64)
_ANSWER = AnswerResponse(
    id="ans-0",
    model=_CARD.id,
    variant=_CARD.variant,
    answer="1",
    finish_reason="stop",
    usage=Usage(image_tokens=1, prompt_tokens=1, completion_tokens=1),
    timing=Timing(queue_ms=0, preprocess_ms=0, inference_ms=0, total_ms=0),
)
_BODIES = {
    "/v1/models": ModelList(data=[_CARD]).model_dump_json().encode(),
    "/v1/answer": _ANSWER.model_dump_json().encode(),
}


class Canned:
    """The ASGI application."""

    def __init__(self, stall_at_s: float = 0, stall_s: float = 0) -> None:
        self._stall_at_s = stall_at_s
        self._stall_s = stall_s
        self._asked_before = False
        self._began_s: float | None = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == "/v1/answer":
            await self._stall()
        body = _BODIES[scope["path"]]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stall(self) -> None:
        if not self._asked_before:
            self._asked_before = True
            return
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        into_s = now_s - self._began_s - self._stall_at_s
        if 0 <= into_s < self._stall_s:
            await asyncio.sleep(self._stall_s - into_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stall-at-s", type=float, default=0)
    parser.add_argument("--stall-s", type=float, default=0)
    options = parser.parse_args()
    uvicorn.run(
        Canned(options.stall_at_s, options.stall_s),
        host="127.0.0.1",
        port=options.port,
        log_level="error",
        lifespan="off",
    )
