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
from services.common.http.guards.admission import Admission, Load, timeout_s
from services.common.http.guards.connected import while_connected
from services.common.http.guards.remote_images import RemoteImages
from services.common.http.openapi.bodies import answer_body, chat_body
from services.common.http.openapi.document import MODELS, OPERATION, QUESTIONS, describe
from services.common.http.openapi.examples import answer_example, chat_example
from services.common.http.openapi.responses import PLAIN_TEXT, STREAM, Responses, errors, question_errors
from services.common.http.request_scope import HeldStream, RequestScope
from services.common.settings import ServerSettings
from services.common.telemetry.metrics import Metrics
from services.common.telemetry.processes import Watched
from services.common.telemetry.request_log import current_record
from services.common.worker.messages import Delta, Job, Reply, WorkerAnswer
from services.wire import __version__
from services.wire.about import About, Status, Version
from services.wire.answer import AnswerRequest, AnswerResponse, ModelCard, ModelList, TokenLogprob
from services.wire.chat import ChatRequest
from services.wire.completion import ChatCompletion
from services.wire.contract import WireRequest, WireResponse, printable
from services.wire.errors import InvalidRequestError, NotFoundError, NotReadyError, ServiceError, named
from services.wire.reading import Read

Model = TypeVar("Model", bound=WireRequest)
Piece = Delta | WorkerAnswer
"""Replies to a job that does not fail: pieces of the answer, then the complete answer."""


class Worker(Load, Watched, Protocol):
    """What answers the requests."""

    def replies(self, job: Job[Any]) -> AsyncGenerator[Reply, None]:
        """A job's replies, the end last; closing the generator cancels the job."""

    def is_stuck_for_long(self) -> bool:
        """Whether only an end of the service helps."""


@dataclass(frozen=True, slots=True)
class RequestTypes:
    """The request models of a service's two inference endpoints."""

    answer: type[AnswerRequest]
    chat: type[ChatRequest]


class Routes:
    """Handlers of one service."""

    def __init__(self, settings: ServerSettings, card: ModelCard, wire: RequestTypes, worker: Worker) -> None:
        self.settings = settings
        self.card = card
        self.wire = wire
        self.worker = worker
        self.admission = Admission(settings, worker)
        self.remote = RemoteImages(settings) if settings.allowed_image_hosts else None
        self.metrics = Metrics(settings.objective_ms)
        self.metrics.describe(card)
        self.metrics.watch_worker(worker)

    def install(self, app: FastAPI) -> None:
        """Add the routes and the error handlers."""
        router = APIRouter()
        add = router.add_api_route
        add(
            "/v1/answer",
            self.answer,
            methods=["POST"],
            response_model=AnswerResponse,
            responses=question_errors(),
            openapi_extra=answer_body(self.wire.answer, answer_example()),
            summary="Answer a question about an image",
            tags=[QUESTIONS],
        )
        add(
            "/v1/chat/completions",
            self.chat,
            methods=["POST"],
            response_model=ChatCompletion,
            responses={200: STREAM, **question_errors()},
            openapi_extra=chat_body(self.wire.chat, chat_example()),
            summary="Continue a conversation (OpenAI-compatible)",
            tags=[QUESTIONS],
        )
        pages: list[tuple[str, Callable[..., Any], type[WireResponse], Responses, str, str]] = [
            ("/v1/models", self.models, ModelList, errors(), MODELS, "The model being served"),
            ("/v1/models/{name:path}", self.model, ModelCard, errors(404), MODELS, "The model, by its name"),
            ("/live", self.live, Status, errors(), OPERATION, "Is the HTTP process up?"),
            ("/ready", self.ready, Status, errors(), OPERATION, "Can the model answer?"),
            ("/version", self.version, Version, errors(), OPERATION, "This software's version"),
            ("/", self.about, About, errors(), OPERATION, "What this is"),
        ]
        for path, handler, answer, told, tag, summary in pages:
            add(path, handler, response_model=answer, responses=told, tags=[tag], summary=summary)
        for alias in ("/health", "/healthz"):  # other servers' names for /ready, which load generators ask for
            add(alias, self.ready, include_in_schema=False)
        add(
            "/metrics",
            self.exposition,
            response_class=Response,
            responses={200: PLAIN_TEXT, **errors()},
            summary="Prometheus metrics",
            tags=[OPERATION],
        )
        app.include_router(router)
        describe(app, self.wire.answer, self.wire.chat)
        error_handlers.install(app)
        middleware.install(app, self.settings, lambda: self.admission.draining, self.count_refusal)

    def count_refusal(self, error: ServiceError) -> None:
        """Count what was refused before it reached a route."""
        self.metrics.not_answered("refused", error.code)

    async def answer(self, request: Request) -> Response:
        """Answer a question about an image, sent as JSON or as a multipart form."""
        with RequestScope(self.metrics, self.card, "/v1/answer", "ans") as scope:
            try:
                with self.admission.admit(request):
                    asked = (await self._read(request, self.wire.answer)).asked
                    end = await while_connected(request, self._end(request, scope, asked))
            except ServiceError as error:
                return scope.refused(error)
            body = scope.answered(end).model_dump_json()
            return Response(body, media_type="application/json", headers=scope.headers)

    async def chat(self, request: Request) -> Response:
        """Answer the last turn of a conversation, in one response or as a stream of events."""
        async with AsyncExitStack() as stack:
            scope = stack.enter_context(RequestScope(self.metrics, self.card, "/v1/chat/completions", "chatcmpl"))
            try:
                stack.enter_context(self.admission.admit(request))
                asked, scope.ignored = await self._read(request, self.wire.chat)
                if not asked.stream:
                    scores: list[TokenLogprob] = []
                    end = await while_connected(request, self._end(request, scope, asked, scores))
                    return self._completion(scope, asked, end, scores)
                coming = await stack.enter_async_context(aclosing(self._replies(request, scope, asked)))
                # before streaming starts, an error can still set the status
                first = await while_connected(request, _next(coming, asked))
            except ServiceError as error:
                return scope.refused(error)
            return HeldStream(self._events(scope, asked, first, coming), stack.pop_all(), scope.headers)

    async def _end(
        self,
        request: Request,
        scope: RequestScope,
        asked: AnswerRequest | ChatRequest,
        scores: list[TokenLogprob] | None = None,
    ) -> WorkerAnswer:
        """The complete answer; log probabilities of its tokens are added to ``scores``."""
        async with aclosing(self._replies(request, scope, asked)) as coming:
            piece = await _next(coming, asked)
            while isinstance(piece, Delta):
                if scores is not None:
                    scores += piece.logprobs
                piece = await _next(coming, asked)
            return piece

    def _completion(
        self, scope: RequestScope, asked: ChatRequest, end: WorkerAnswer, scores: list[TokenLogprob]
    ) -> Response:
        response = scope.answered(end)
        logprobs = scores if asked.wants_scores else None
        body = completion(response, logprobs, self.card.fingerprint, scope.ignored).model_dump_json()
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

    async def live(self) -> Response:
        """200 as soon as the HTTP process is up, and until the worker has been stuck for long."""
        if self.worker.is_stuck_for_long():
            message = "the worker makes no progress: start the service anew"
            return problem(NotReadyError(message))
        return JSONResponse(Status(status="live").model_dump())

    async def ready(self) -> Response:
        """200 while requests can be answered, else 503."""
        try:
            self.admission.require_ready()
        except NotReadyError as error:
            return problem(error)
        return JSONResponse(Status(status="ready").model_dump())

    async def version(self) -> Version:
        """The version of Tallyglass, as ``--version`` prints it."""
        return Version(version=__version__)

    async def about(self) -> About:
        """What is served, and where its documentation is."""
        return About(model=self.card.id, variant=self.card.variant)

    def exposition(self, request: Request) -> Response:
        """Metrics in Prometheus' text format, or as OpenMetrics if ``Accept`` asks for it."""
        # Not async, so that FastAPI calls it in a thread: the processes' memory takes some reading.
        text, content_type = self.metrics.exposition(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def _read(self, request: Request, model: type[Model]) -> Read[Model]:
        read = await read_request(request, model, self.settings.max_body_bytes, self.remote)
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
        self, request: Request, scope: RequestScope, asked: AnswerRequest | ChatRequest
    ) -> AsyncGenerator[Reply, None]:
        limit_s = timeout_s(request, asked.timeout_s, self.settings.timeout_s)
        deadline_s = scope.started_s + limit_s
        self.admission.require_time(deadline_s)
        self._probe(asked)
        self._note_question(asked)
        in_pieces = isinstance(asked, ChatRequest) and asked.wants_pieces
        return self.worker.replies(Job(scope.id, asked, time.monotonic(), deadline_s, limit_s, in_pieces))

    async def _events(
        self, scope: RequestScope, asked: ChatRequest, first: Piece, coming: AsyncIterator[Reply]
    ) -> AsyncIterator[bytes]:
        chunks = Chunks(scope.id, self.card)
        yield chunks.first(scope.ignored)
        reply = first
        try:
            while isinstance(reply, Delta):
                yield chunks.delta(reply)
                reply = await _next(coming, asked)
        except ServiceError as error:
            scope.refused(error)
            yield error_event(error)
            return
        yield chunks.last(scope.answered(reply), usage=asked.wants_usage)


async def _next(coming: AsyncIterator[Reply], asked: WireRequest) -> Piece:
    reply = await anext(coming)
    if isinstance(reply, ServiceError):
        reply.param = asked.name_of(reply.param)
        raise reply
    return reply
