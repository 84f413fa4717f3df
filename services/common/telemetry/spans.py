"""A request as OpenTelemetry's spans, made once it has ended, from the times that its log line has."""

import time
from collections.abc import Iterator
from threading import Thread
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue
from starlette.datastructures import Headers
from starlette.types import Scope

from services.common.telemetry.request_log import LONGEST_PATH, REQUEST_ID, RequestRecord
from services.wire import __version__

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_PARTS: Final = {"queue": "queue_ms", "preprocessing": "preprocess_ms", "inference": "inference_ms"}
"""The parts of an answer's time, in their order, and what the log calls them."""
_TOKENS: Final = {"gen_ai.usage.input_tokens": "prompt_tokens", "gen_ai.usage.output_tokens": "completion_tokens"}
_DEFECT: Final = 500
LAST_SENDING_S: Final = 3.0
"""How long the service's end waits for a collector that does not answer."""


class Spans:
    """Sends one trace for each request: the server's span, and a child for each part of an answer's time.

    Where to, which, and in what batches is up to OpenTelemetry's environment variables; so is the name of the service,
    which is ``service`` by default. Names and attributes are those of its semantic conventions for HTTP.
    """

    def __init__(self, service: str) -> None:
        named = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: __version__})
        self._provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tallyglass", __version__)

    def add(self, scope: Scope, record: RequestRecord) -> None:
        """Trace a request that has ended; the parent is the span in its ``traceparent``, if there is one."""
        offset_s = time.time() - time.monotonic()
        attributes = _attributes(scope, record)
        span = self._tracer.start_span(
            " ".join(str(attributes[name]) for name in ("http.request.method", "http.route") if name in attributes),
            extract(Headers(scope=scope)),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=_nanoseconds(record.started_s + offset_s),
        )
        if "error.type" in attributes:
            span.set_status(StatusCode.ERROR)
        inside = set_span_in_context(span)
        for name, begun_s, ended_s in _parts(record):
            part = self._tracer.start_span(name, inside, start_time=_nanoseconds(begun_s + offset_s))
            part.end(_nanoseconds(ended_s + offset_s))
        span.end(_nanoseconds(record.ended_s + offset_s))

    def close(self) -> None:
        """Send what is left, or give up after a while."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(LAST_SENDING_S)


def _attributes(scope: Scope, record: RequestRecord) -> dict[str, AttributeValue]:
    status, code = record.status or _DEFECT, record.fields.get("code")
    route = getattr(scope.get("route"), "path", None)
    tokens = {name: int(str(record.fields[field])) for name, field in _TOKENS.items() if field in record.fields}
    return {
        "http.request.method": scope["method"] if scope["method"] in _METHODS else "_OTHER",
        "http.response.status_code": status,
        f"http.response.header.{REQUEST_ID.lower()}": [record.id or ""],
        "url.scheme": scope["scheme"],
        "url.path": scope["path"][:LONGEST_PATH],
        **({"http.route": route} if route else {}),
        **({"error.type": str(code or status)} if status >= _DEFECT else {}),
        **tokens,
    }


def _parts(record: RequestRecord) -> Iterator[tuple[str, float, float]]:
    """Each part's name, begin and end; the last one ends when the answer was there."""
    if record.answered_s is None:
        return
    seconds = {name: float(str(record.fields[field])) / 1000 for name, field in _PARTS.items()}
    begun_s = record.answered_s - sum(seconds.values())
    for name, took_s in seconds.items():
        yield name, begun_s, begun_s + took_s
        begun_s += took_s


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
