"""When requests are traced: as OpenTelemetry's variables say, and at no cost where they say nothing."""

import logging
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from typing import NoReturn

import pytest

from services.common.telemetry import spans, traces
from services.common.telemetry.request_log import RequestRecord

HERE = "http://127.0.0.1:4318"


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"ENDPOINT": ""}, False),
        ({"ENDPOINT": HERE}, True),
        ({"TRACES_ENDPOINT": HERE}, True),
        ({"ENDPOINT": HERE, "PROTOCOL": "http/protobuf"}, True),
        ({"ENDPOINT": HERE, "PROTOCOL": "grpc", "TRACES_PROTOCOL": "http/protobuf"}, True),
        ({"ENDPOINT": HERE, "SDK_DISABLED": "True"}, False),
        ({"ENDPOINT": HERE, "SDK_DISABLED": "false"}, True),
        ({"ENDPOINT": HERE, "TRACES_EXPORTER": "none"}, False),
    ],
)
def test_requests_are_traced_where_the_environment_names_a_collector(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, wanted: bool
) -> None:
    for name, value in variables.items():
        of_all = name in {"SDK_DISABLED", "TRACES_EXPORTER"}
        monkeypatch.setenv(f"OTEL_{name}" if of_all else f"OTEL_EXPORTER_OTLP_{name}", value)
    assert traces.wanted() is wanted
    assert not caplog.records


def missing(name: str) -> NoReturn:
    raise PackageNotFoundError(name)


def test_what_keeps_them_from_being_traced_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", HERE)
    with monkeypatch.context() as without:
        without.setattr(traces, "version", missing)
        assert not traces.wanted()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert not traces.wanted()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"requests are not traced to {HERE}: install the extra otel ({traces.PACKAGE})"),
        (logging.WARNING, "requests are not traced: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, set it to http/protobuf"),
    ]


@pytest.mark.slow
def test_nothing_is_loaded_where_nobody_asks_for_traces() -> None:
    script = (
        "import sys; from tests.unit.common.http.serving import installed, send; "
        "assert send(installed(), 'GET', '/v1/models').status_code == 200; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_a_collector_that_does_not_answer_holds_the_end_up_for_a_moment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LAST_SENDING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "8")
        sending = spans.Spans("tallyglass-test")
        scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "headers": []}
        sending.add(scope, RequestRecord(status=200, ended_s=time.monotonic()))
        begun_s = time.monotonic()
        sending.close()
        assert 0.2 <= time.monotonic() - begun_s < 4
