"""The HTTP routes of a service: the two inference endpoints, models, health and metrics."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from services.common import images
from services.common.http import error_handlers, middleware
from services.common.http.body import read_request
from services.common.http.chat_responses import Chunks, completion, error_event
from services.common.http.error_handlers import problem
from services.common.http.openapi import body_schema, nested_schemas
from services.common.http.request_scope import HeldStream, RequestScope
from services.common.settings import ServerSettings
from services.common.telemetry.metrics import Metrics
from services.common.telemetry.request_log import current_record
from services.common.worker.messages import Delta, Job, Reply, WorkerAnswer
from services.common.worker.state import WorkerState
from services.common.worker.transport import Queue, replies
from services.wire import __version__
from services.wire.answer import AnswerRequest, AnswerResponse, ModelCard, ModelList, TokenLogprob
from services.wire.chat import ChatRequest
from services.wire.completion import ChatCompletion
from services.wire.contract import WireRequest, printable
from services.wire.errors import ErrorEnvelope, InvalidRequestError, NotFoundError, NotReadyError, ServiceError, named
from services.wire.reading import Read

Model = TypeVar("Model", bound=WireRequest)
Piece = Delta | WorkerAnswer
"""Replies to a job that does not fail: pieces of the answer, then the complete answer."""


@dataclass(frozen=True, slots=True)
class RequestTypes:
    """The request models of a service's two inference endpoints."""

    answer: type[AnswerRequest]
    chat: type[ChatRequest]


class WatchedQueue(Queue, Protocol):
    """The queue to the worker, and what the worker says of itself meanwhile."""

    worker: WorkerState


class Routes:
    """Handlers of one service; ``ready`` returns whether the model is loaded."""

    def __init__(
        self,
        settings: ServerSettings,
        card: ModelCard,
        wire: RequestTypes,
        queue: WatchedQueue,
        ready: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.card = card
        self.wire = wire
        self.queue = queue
        self.is_ready = ready
        self.metrics = Metrics(settings.objective_ms)
        self.metrics.describe(card)
        self.metrics.watch_worker(queue.worker, lambda: len(queue.response_buffer))

    def install(self, app: FastAPI) -> None:
        """Add the routes and the error handlers."""
        router = APIRouter()
        errors: dict[int | str, dict[str, Any]] = {
            status: {"model": ErrorEnvelope} for status in (400, 413, 415, 422, 500, 503, 504)
        }
        router.add_api_route(
            "/v1/answer",
            self.answer,
            methods=["POST"],
            response_model=AnswerResponse,
            responses=errors,
            openapi_extra=body_schema(self.wire.answer, form=True),
            summary="Answer a question about an image",
        )
        router.add_api_route(
            "/v1/chat/completions",
            self.chat,
            methods=["POST"],
            response_model=ChatCompletion,
            responses=errors,
            openapi_extra=body_schema(self.wire.chat, form=False),
            summary="Continue a conversation (OpenAI-compatible)",
        )
        router.add_api_route("/v1/models", self.models, response_model=ModelList, summary="The model being served")
        router.add_api_route(
            "/v1/models/{name:path}",
            self.model,
            response_model=ModelCard,
            responses={404: {"model": ErrorEnvelope}},
            summary="The model, by its name",
        )
        router.add_api_route("/live", self.live, summary="Is the HTTP process up?")
        router.add_api_route("/ready", self.ready, summary="Can the model answer?", responses={503: errors[503]})
        for alias in ("/health", "/healthz"):  # other servers' names for it, which load generators ask for
            router.add_api_route(alias, self.ready, include_in_schema=False)
        router.add_api_route("/version", self.version, summary="This software's version")
        router.add_api_route("/", self.about, summary="What this is")
        router.add_api_route("/metrics", self.exposition, summary="Prometheus metrics", response_class=Response)
        app.include_router(router)
        for model in (self.wire.answer, self.wire.chat):
            app.openapi()["components"]["schemas"].update(nested_schemas(model))
        error_handlers.install(app)
        middleware.install(app, self.settings.cors_origins)

    async def answer(self, request: Request) -> Response:
        """Answer a question about an image, sent as JSON or as a multipart form."""
        with RequestScope(self.metrics, self.card, "/v1/answer", "ans") as scope:
            try:
                asked = (await self._read(request, self.wire.answer)).asked
                self._probe(asked)
                self._note_question(asked)
                async with aclosing(self._replies(scope, asked)) as coming:
                    end = [_checked(reply, asked) async for reply in coming][-1]
            except ServiceError as error:
                return scope.refused(error)
            assert isinstance(end, WorkerAnswer)  # noqa: S101 replies end with an answer
            body = scope.answered(end).model_dump_json()
            return Response(body, media_type="application/json", headers=scope.headers)

    async def chat(self, request: Request) -> Response:
        """Answer the last turn of a conversation, in one response or as a stream of events."""
        async with AsyncExitStack() as stack:
            scope = stack.enter_context(RequestScope(self.metrics, self.card, "/v1/chat/completions", "chatcmpl"))
            try:
                asked, scope.ignored = await self._read(request, self.wire.chat)
                self._probe(asked)
                self._note_question(asked)
                coming = await stack.enter_async_context(
                    aclosing(self._replies(scope, asked, in_pieces=asked.wants_pieces))
                )
                # before streaming starts, an error can still set the status
                first = _checked(await anext(coming), asked)
                if asked.stream:
                    events = self._events(scope, asked, first, coming)
                    return HeldStream(events, stack.pop_all(), scope.headers)
                scores: list[TokenLogprob] = []
                end = first
                while isinstance(end, Delta):
                    scores += end.logprobs
                    end = _checked(await anext(coming), asked)
            except ServiceError as error:
                return scope.refused(error)
            response = scope.answered(end)
            body = completion(
                response, scores if asked.wants_scores else None, self.card.fingerprint, scope.ignored
            ).model_dump_json()
            return Response(body, media_type="application/json", headers=scope.headers)

    async def models(self) -> ModelList:
        """The service's one model, in OpenAI's list format."""
        return ModelList(data=[self.card])

    async def model(self, name: str) -> Response:
        """The service's one model if that is its name, which may contain slashes; else 404."""
        if name == self.card.id:
            return JSONResponse(self.card.model_dump())
        message = f"there is no model {printable(name)!r} here: this server has {self.card.id!r}"
        return problem(NotFoundError(message, "model"))

    async def live(self) -> dict[str, str]:
        """200 as soon as the HTTP process is up."""
        return {"status": "live"}

    async def ready(self) -> Response:
        """200 once the model can answer, else 503."""
        if self.is_ready():
            return JSONResponse({"status": "ready"})
        message = "the model is not ready: try again in a moment"
        return problem(NotReadyError(message))

    async def version(self) -> dict[str, str]:
        """The version of Tallyglass, as ``--version`` prints it."""
        return {"version": __version__}

    async def about(self) -> dict[str, str]:
        """What is served, and where its documentation is."""
        return {"service": "Tallyglass", "model": self.card.id, "variant": self.card.variant, "docs": "/docs"}

    def exposition(self, request: Request) -> Response:
        """Metrics in Prometheus' text format, or as OpenMetrics if ``Accept`` asks for it."""
        # Not async, so that FastAPI calls it in a thread: the processes' memory takes some reading.
        text, content_type = self.metrics.exposition(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def _read(self, request: Request, model: type[Model]) -> Read[Model]:
        read = await read_request(request, model, self.settings.max_body_bytes)
        if self.settings.strict and read.ignored:
            message = f"'{read.ignored[0]}' has no effect here, and this server is strict about that: leave it out"
            raise InvalidRequestError(message, read.ignored[0])
        return read

    def _probe(self, asked: AnswerRequest | ChatRequest) -> None:
        for name, image in asked.named_images:
            with named(name):
                width, height = images.probe(image, self.settings.max_image_bytes, self.settings.max_image_pixels)
            self.metrics.image_pixels.observe(width * height)

    def _note_question(self, asked: AnswerRequest | ChatRequest) -> None:
        if self.settings.log_questions:
            text = asked.question if isinstance(asked, AnswerRequest) else asked.messages[-1].text
            current_record().fields["question"] = text

    def _replies(
        self, scope: RequestScope, asked: WireRequest, *, in_pieces: bool = False
    ) -> AsyncGenerator[Reply, None]:
        timeout_s = self.settings.timeout_s
        job = Job(scope.id, asked, time.monotonic(), scope.started_s + timeout_s, timeout_s, in_pieces)
        return replies(self.queue, job)

    async def _events(
        self, scope: RequestScope, asked: ChatRequest, first: Piece, coming: AsyncIterator[Reply]
    ) -> AsyncIterator[bytes]:
        chunks = Chunks(scope.id, self.card)
        yield chunks.first(scope.ignored)
        reply = first
        try:
            while isinstance(reply, Delta):
                yield chunks.delta(reply)
                reply = _checked(await anext(coming), asked)
        except ServiceError as error:
            scope.refused(error)
            yield error_event(error)
            return
        yield chunks.last(scope.answered(reply), usage=asked.wants_usage)


def _checked(reply: Reply, asked: WireRequest) -> Piece:
    if isinstance(reply, ServiceError):
        reply.param = asked.name_of(reply.param)
        raise reply
    return reply
