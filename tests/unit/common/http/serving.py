"""The routes of a service with a fake worker behind them: no process, no port, no model."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI
from litserve.utils import LitAPIStatus
from pydantic_settings import SettingsConfigDict

from services.common.http.routes import RequestTypes, Routes
from services.common.settings import ServerSettings
from services.common.telemetry.metrics import Metrics
from services.common.worker.messages import Job, Reply, WorkerAnswer
from services.common.worker.state import WorkerState
from services.wire.answer import AnswerResponse, MatchaRequest, ModelCard, QwenVLRequest, Timing, Usage
from services.wire.chat import MatchaChat, QwenVLChat
from services.wire.contract import WireRequest

CARD = ModelCard(id="some/model", variant="int8", revision="r7", manifest_sha256="ab12")


class Settings(ServerSettings):
    """Independent of the machine's environment."""

    model_config = SettingsConfigDict(env_prefix="TALLYGLASS_TESTS_")

    model: str = "unused"


def answer(text: str = "three apples", **changes: Any) -> WorkerAnswer:
    """An answer in which all numbers differ, and each time falls into a different bucket."""
    given = WorkerAnswer(
        text=text,
        finish_reason="length",
        usage=Usage(image_tokens=11, prompt_tokens=17, completion_tokens=5, cached_tokens=3),
        queue_ms=40,
        preprocess_ms=300,
        inference_ms=2000,
        cache="hit",
    )
    return replace(given, **changes)


def response(**changes: Any) -> AnswerResponse:
    """That answer as the service sends it, after a fixed time."""
    given = answer()
    whole = AnswerResponse(
        id="the-request",
        model=CARD.id,
        variant=CARD.variant,
        answer=given.text,
        finish_reason=given.finish_reason,
        usage=given.usage,
        timing=Timing(queue_ms=40, preprocess_ms=300, inference_ms=2000, total_ms=0),
        cache=given.cache,
    )
    return whole.model_copy(update=changes)


@dataclass
class Worker:
    """A fake of LitServe's queue and worker: stores each job, and answers it with the result of ``replies``."""

    replies: Callable[[], list[Reply]] = lambda: [answer()]
    status: str = LitAPIStatus.OK
    jobs: list[Job[Any]] = field(default_factory=list)
    response_buffer: dict[str, Any] = field(default_factory=dict)
    response_queue_id: int = 7
    request_queue: Any = None
    worker: WorkerState = field(default_factory=WorkerState)

    def __post_init__(self) -> None:
        """Acts as its own queue."""
        self.request_queue = self

    def put(self, entry: tuple[int, str, float, Job[WireRequest]]) -> None:
        """Accept a job, and answer it at once."""
        sender, job_id, _, job = entry
        assert sender == self.response_queue_id
        self.jobs.append(job)
        for reply in self.replies():
            self.response_buffer[job_id].response = (reply, self.status)


@cache
def _installed(types: RequestTypes) -> tuple[FastAPI, Routes]:
    """Made once for all tests: FastAPI takes a good part of a second."""
    app = FastAPI()
    routes = Routes(Settings(), CARD, types, Worker(), lambda: False)
    routes.install(app)
    return app, routes


class Desk:
    """A service to send requests to."""

    def __init__(self, wire: RequestTypes, **settings: Any) -> None:
        self.worker = Worker()
        self.ready = True
        self.app, self.routes = _installed(wire)
        self.routes.settings = Settings(**settings)
        self.routes.queue = self.worker
        self.routes.is_ready = lambda: self.ready
        self.routes.metrics = Metrics()

    @classmethod
    def of_matcha(cls, **settings: Any) -> "Desk":
        """With MatCha's wire format."""
        return cls(RequestTypes(MatchaRequest, MatchaChat), **settings)

    @classmethod
    def of_qwen_vl(cls, **settings: Any) -> "Desk":
        """With Qwen2-VL's wire format."""
        return cls(RequestTypes(QwenVLRequest, QwenVLChat), **settings)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request and its answer, as httpx has them."""
        return send(self.app, method, path, **request)

    def answer(self, **fields: Any) -> httpx.Response:
        """A question as JSON."""
        return self.send("POST", "/v1/answer", json=fields)

    def chat(self, *messages: dict[str, Any], **fields: Any) -> httpx.Response:
        """A conversation."""
        return self.send("POST", "/v1/chat/completions", json={"messages": list(messages), **fields})

    def counted(self, name: str, **labels: str) -> float:
        """A value in ``/metrics``; 0 if not present yet."""
        return reading(self.send("GET", "/metrics").text, name, **labels)


def send(app: FastAPI, method: str, path: str, **request: Any) -> httpx.Response:
    """One request to an app and its answer, as httpx has them."""

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            return await client.request(method, path, **request)

    return asyncio.run(go())


def reading(exposition: str, name: str, **labels: str) -> float:
    """A value in Prometheus' text format; 0 if not present."""
    told = ",".join(f'{label}="{value}"' for label, value in labels.items())
    start = f"{name}{{{told}}} " if labels else f"{name} "
    return next((float(line.split()[-1]) for line in exposition.splitlines() if line.startswith(start)), 0.0)


def b64(data: bytes) -> str:
    """Base64, as bytes are encoded in JSON."""
    return base64.b64encode(data).decode()


def turn(*parts: str | bytes, role: str = "user") -> dict[str, Any]:
    """A message of texts, and images as bytes."""
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(part)}"}}
        for part in parts
    ]
    return {"role": role, "content": content}
