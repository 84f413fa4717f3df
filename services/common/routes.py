"""The HTTP routes of a service, over LitServe's queue.

A handler puts a job on the queue, waits for the worker's reply within the time limit, and answers with the status it
likes. LitServe's own request handling cannot do that: it has no time limit on a wait, and drops headers.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from litserve.utils import LitAPIStatus, ResponseBufferItem
from starlette.exceptions import HTTPException

from services.common import images
from services.common.body import read_request
from services.common.errors import DeadlineError, InternalError, NotReadyError, ServiceError
from services.common.jobs import Job, Reply
from services.common.metrics import Metrics
from services.common.schemas import AnswerRequest, AnswerResponse, ErrorEnvelope, ModelCard, ModelList, Problem
from services.common.settings import ServerSettings

_log = logging.getLogger(__name__)
_COMPONENT = "#/components/schemas/{model}"


class Queue(Protocol):
    """The part of the ``LitSpec`` that handlers need; LitServe fills it in before HTTP comes up."""

    request_queue: Any  # a multiprocessing proxy
    response_buffer: dict[str, ResponseBufferItem]
    response_queue_id: int


class Routes:
    """Handlers of one service: ``request_model`` is what ``/v1/answer`` takes, ``ready`` asks whether it can answer."""

    def __init__(
        self,
        settings: ServerSettings,
        card: ModelCard,
        request_model: type[AnswerRequest],
        queue: Queue,
        ready: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.card = card
        self.request_model = request_model
        self.queue = queue
        self.is_ready = ready
        self.metrics = Metrics()
        self.metrics.describe(card)

    def install(self, app: FastAPI) -> None:
        """Add the routes and the one place that turns an error into OpenAI's envelope."""
        router = APIRouter()
        problems: dict[int | str, dict[str, Any]] = {
            status: {"model": ErrorEnvelope} for status in (400, 413, 415, 422, 500, 503, 504)
        }
        router.add_api_route(
            "/v1/answer",
            self.answer,
            methods=["POST"],
            response_model=AnswerResponse,
            responses=problems,
            openapi_extra=_body_schema(self.request_model),
            summary="Answer a question about a picture",
        )
        router.add_api_route("/v1/models", self.models, response_model=ModelList, summary="The model that answers")
        router.add_api_route("/live", self.live, summary="Is the HTTP process up?")
        router.add_api_route("/ready", self.ready, summary="Can the model answer?", responses={503: problems[503]})
        router.add_api_route("/metrics", self.exposition, summary="Prometheus metrics", response_class=Response)
        app.include_router(router)
        app.openapi()["components"]["schemas"].update(_nested_schemas(self.request_model))
        app.add_exception_handler(HTTPException, _http_problem)
        app.add_exception_handler(Exception, _defect)

    async def answer(self, request: Request) -> Response:
        """Answer a question about the picture that comes with it, as JSON or as a multipart form."""
        started_s, request_id = time.monotonic(), f"ans-{uuid.uuid4().hex}"
        with self.metrics.in_flight.track_inprogress():
            try:
                reply = await self._reply(request, request_id, started_s)
            except ServiceError as error:
                reply = error
        status = reply.status if isinstance(reply, ServiceError) else 200
        total_ms = (time.monotonic() - started_s) * 1000
        self.metrics.requests.labels("/v1/answer", status).inc()
        _log.info("request", extra={"id": request_id, "status": status, "total_ms": round(total_ms, 1)})
        headers = {"X-Request-Id": request_id}
        if isinstance(reply, ServiceError):
            return problem(reply, headers)
        reply = reply.model_copy(update={"timing": reply.timing.model_copy(update={"total_ms": total_ms})})
        self.metrics.answered(reply)
        return Response(reply.model_dump_json(), media_type="application/json", headers=headers)

    async def models(self) -> ModelList:
        """The one model of this service, as OpenAI lists models."""
        return ModelList(data=[self.card])

    async def live(self) -> dict[str, str]:
        """Answers as soon as HTTP is up."""
        return {"status": "live"}

    async def ready(self) -> Response:
        """200 once the model can answer, else 503."""
        if self.is_ready():
            return JSONResponse({"status": "ready"})
        message = "the model cannot answer yet: ask again in a moment"
        return problem(NotReadyError(message))

    async def exposition(self) -> Response:
        """Metrics in Prometheus' text format."""
        return Response(self.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _reply(self, request: Request, request_id: str, started_s: float) -> Reply:
        settings = self.settings
        asked = await read_request(request, self.request_model, settings.max_body_bytes)
        images.probe(asked.image, settings.max_image_bytes, settings.max_image_pixels)
        deadline_s = started_s + settings.timeout_s
        return await self._ask_worker(Job(request_id, asked, time.monotonic()), deadline_s)

    async def _ask_worker(self, job: Job[AnswerRequest], deadline_s: float) -> Reply:
        queue = self.queue
        item = ResponseBufferItem(asyncio.Event())
        queue.response_buffer[job.id] = item
        try:
            entry = (queue.response_queue_id, job.id, time.monotonic(), job)
            await asyncio.to_thread(queue.request_queue.put, entry)  # an IPC call that would block the event loop
            async with asyncio.timeout(deadline_s - time.monotonic()):
                await item.event.wait()
        except TimeoutError as error:
            message = f"no answer within {self.settings.timeout_s:g} s: try again, or ask for fewer tokens or patches"
            raise DeadlineError(message) from error
        finally:
            queue.response_buffer.pop(job.id, None)
        reply, status = item.response
        if status != LitAPIStatus.OK:
            message = f"the worker failed on this request; its log names {job.id}"
            raise InternalError(message)
        answered: Reply = reply
        return answered


def problem(error: ServiceError, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in OpenAI's envelope, under its status."""
    body = ErrorEnvelope(error=Problem(message=error.message, type=error.type, param=error.param, code=error.code))
    return JSONResponse(body.model_dump(), status_code=error.status, headers=headers)


async def _http_problem(_: Request, error: Exception) -> Response:
    """FastAPI's own refusals (no such route, wrong method) in the same envelope."""
    assert isinstance(error, HTTPException)  # noqa: S101 narrows what add_exception_handler promises
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"  # noqa: PLR2004 HTTP's boundary
    body = ErrorEnvelope(error=Problem(message=str(error.detail), type=kind, code="http_error"))
    return JSONResponse(body.model_dump(), status_code=error.status_code, headers=error.headers)


async def _defect(_: Request, error: Exception) -> Response:
    _log.error("defect in a handler", exc_info=error)
    message = "the server failed on this request; its log has the trace"
    return problem(InternalError(message))


def _nested_schemas(model: type[AnswerRequest]) -> dict[str, Any]:
    nested: dict[str, Any] = model.model_json_schema(ref_template=_COMPONENT).get("$defs", {})
    return nested


def _body_schema(model: type[AnswerRequest]) -> dict[str, Any]:
    """OpenAPI's description of a body that FastAPI does not parse itself."""
    schema = model.model_json_schema(ref_template=_COMPONENT)
    schema.pop("$defs", None)
    form = {**schema, "properties": {**schema["properties"], "image": {"type": "string", "format": "binary"}}}
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}
