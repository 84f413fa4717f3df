"""Traces of a running service, as a collector receives them over OTLP."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clients.launcher import running

pytestmark = pytest.mark.slow

QUESTION = "What is my diagnosis?"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARTS = {"queue": "queue_ms", "preprocessing": "preprocess_ms", "inference": "inference_ms"}


@dataclass
class Collector:
    """What was received: the bodies as they came, the service each told of, and their spans."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
            self.services.add(told["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def of(self, request_id: str) -> tuple[Span, list[Span]]:
        """The server's span of a request, and its children."""
        (server,) = [
            span for span in self.spans if attributes(span).get("http.response.header.x-request-id") == [request_id]
        ]
        return server, [span for span in self.spans if span.parent_span_id == server.span_id]


def attributes(span: Span) -> dict[str, Any]:
    def value(of: Any) -> Any:
        kind = of.WhichOneof("value")
        return [value(one) for one in of.array_value.values] if kind == "array_value" else getattr(of, kind)

    return {attribute.key: value(attribute.value) for attribute in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """On loopback. A minute passes between two sendings, so that all of a short test's come with the service's end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collected.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """No logging."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    yield collected
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["matcha", "qwen_vl"])
def test_a_request_is_one_trace_with_the_times_of_its_log_line(
    name: str, collector: Collector, tmp_path: Path, png: bytes
) -> None:
    image = base64.b64encode(png).decode()
    body, parent = {"image": image, "question": QUESTION}, {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
    turn = {"role": "user", "content": [*parts, {"type": "text", "text": QUESTION}]}
    with running(name, tmp_path / "log", "--threads", "1") as service, httpx.Client(base_url=service.url) as client:
        httpx.get(f"{service.url}/metrics")

        def post(path: str, number: str, json: object, **headers: str) -> httpx.Response:
            return client.post(path, json=json, headers={"X-Request-Id": number, **headers}, timeout=60)

        asked = [
            post("/v1/answer", "child", body, **parent),
            post("/v1/chat/completions", "stream", {"messages": [turn], "stream": True}),
            post("/v1/answer", "refused", {**body, "image": "AAAA"}),
            post("/v1/nowhere?question=diagnosis", "nowhere", body),
            post("/v1/answer", "unsampled", body, traceparent=f"00-{TRACE}-{PARENT}-00"),
        ]
    assert [response.status_code for response in asked] == [200, 200, 415, 404, 200]
    lines = {line["id"]: line for line in map(json.loads, (tmp_path / "log").read_text().splitlines()) if "id" in line}
    assert collector.services == {f"tallyglass-{name.replace('_', '-')}"}
    assert len([span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]) == 4

    child, children = collector.of("child")
    assert (child.trace_id.hex(), child.parent_span_id.hex()) == (TRACE, PARENT)
    assert (child.name, child.kind, child.status.code) == ("POST /v1/answer", Span.SPAN_KIND_SERVER, 0)
    assert attributes(child) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.response.header.x-request-id": ["child"],
        "http.route": "/v1/answer",
        "url.scheme": "http",
        "url.path": "/v1/answer",
        "gen_ai.usage.input_tokens": lines["child"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": lines["child"]["completion_tokens"],
    }

    stream, streamed = collector.of("stream")
    assert (stream.parent_span_id, stream.name) == (b"", "POST /v1/chat/completions")
    for server, spans, line in ((child, children, lines["child"]), (stream, streamed, lines["stream"])):
        assert [span.name for span in spans] == list(PARTS)
        assert {(span.trace_id, len(span.attributes)) for span in spans} == {(server.trace_id, 0)}
        assert took_ms(server) == pytest.approx(line["total_ms"], abs=0.06)
        assert [took_ms(span) for span in spans] == pytest.approx([line[part] for part in PARTS.values()], abs=0.001)
        edges = [server.start_time_unix_nano]
        for span in spans:
            edges += [span.start_time_unix_nano, span.end_time_unix_nano]
        assert [*edges, server.end_time_unix_nano] == sorted([*edges, server.end_time_unix_nano])

    refused, nothing = collector.of("refused")
    told = attributes(refused)
    assert (told["http.response.status_code"], refused.status.code, nothing) == (415, Status.STATUS_CODE_UNSET, [])
    nowhere, _ = collector.of("nowhere")
    assert (nowhere.name, attributes(nowhere)["url.path"]) == ("POST", "/v1/nowhere")
    for received in collector.bodies:
        assert b"diagnosis" not in received
        assert image[:32].encode() not in received


def took_ms(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
