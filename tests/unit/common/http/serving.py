"""The routes of a service with a fake worker behind them: no process, no port, no model."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic_settings import SettingsConfigDict

from services.common.http import docs
from services.common.http.guards.admission import Admission
from services.common.http.routes import RequestTypes, Routes
from services.common.settings import ServerSettings
from services.common.telemetry.metrics import Metrics
from services.common.worker.messages import Delta, Job, Reply, WorkerAnswer, failed, late
from services.wire.answer import AnswerResponse, MatchaRequest, ModelCard, QwenVLRequest, Timing, Usage
from services.wire.chat import MatchaChat, QwenVLChat

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
    """A fake of the dispatcher and the worker behind it: stores each job, and answers it with ``replies()``.

    Without an end in these, the job's deadline passes.
    """

    replies: Callable[[], list[Reply]] = lambda: [answer()]
    fails: bool = False
    ready: bool = True
    stuck: bool = False
    seconds_each: float | None = None
    running: int = 0
    waiting: int = 0
    silent_s: float = 0
    worker_pid: int = 0
    restarts: int = 0
    jobs: list[Job[Any]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)


class Answering:
    """What the routes see of a ``Worker``."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    async def replies(self, job: Job[Any]) -> AsyncGenerator[Reply, None]:
        """Accept a job, and answer it at once."""
        self.worker.jobs.append(job)
        ended = False
        try:
            for reply in [failed(job.id)] if self.worker.fails else self.worker.replies():
                ended = not isinstance(reply, Delta)
                yield reply
            if not ended:
                await asyncio.sleep(job.deadline_s - time.monotonic())
                raise late(job.timeout_s)
        finally:
            if not ended:
                self.worker.given_up.append(job.id)

    def __getattr__(self, name: str) -> Any:
        """Whatever else is known of the worker."""
        return getattr(self.worker, name)

    def is_ready(self) -> bool:
        """As the test has it."""
        return self.worker.ready

    def is_stuck_for_long(self) -> bool:
        """As the test has it."""
        return self.worker.stuck

    def wait_s(self, ahead: int) -> float | None:
        """As the test has it."""
        return self.worker.seconds_each and ahead * self.worker.seconds_each


@cache
def _installed(types: RequestTypes) -> tuple[FastAPI, Routes]:
    """Made once for all tests: FastAPI takes a good part of a second."""
    app = FastAPI()
    routes = Routes(Settings(), CARD, types, Answering(Worker()))
    routes.install(app)
    return app, routes


class Desk:
    """A service to send requests to."""

    def __init__(self, wire: RequestTypes, **settings: Any) -> None:
        self.worker = Worker()
        self.app, self.routes = _installed(wire)
        self.routes.settings = Settings(**settings)
        self.routes.worker = Answering(self.worker)
        self.routes.admission = Admission(self.routes.settings, self.routes.worker)
        self.routes.remote = None
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


def installed(worker: Worker | None = None, types: RequestTypes | None = None, **settings: Any) -> FastAPI:
    """An app with settings that take effect when it is made."""
    return with_routes(worker, types, **settings)[0]


def with_routes(
    worker: Worker | None = None, types: RequestTypes | None = None, **settings: Any
) -> tuple[FastAPI, Routes]:
    """The same, and its routes."""
    app = FastAPI(docs_url=None, redoc_url=None)
    types = types or RequestTypes(QwenVLRequest, QwenVLChat)
    routes = Routes(Settings(**settings), CARD, types, Answering(worker or Worker()))
    routes.install(app)
    docs.install(app)
    return app, routes
