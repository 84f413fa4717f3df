"""The two forms of a log: JSON for machines, text for a terminal."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from services.common import logs
from services.common.logs import LogFormat


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    logging.captureWarnings(capture=False)
    root.setLevel(level)
    root.handlers[:] = handlers


FORGED = 'a\nb\x1b[2J\u2028 "c"'


def test_text_is_one_line_a_record_whatever_a_client_says(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    log = logging.getLogger("services.some")
    log.info("said %s", FORGED, extra={"status": 200, "id": FORGED, "route": "/v1/answer", "empty": ""})
    try:
        int("no\r12:00:00 INFO    forged\x1b[2J")
    except ValueError:
        log.exception("defect", extra={"job": "ans-1"})
    first, second, *traceback = capsys.readouterr().err.splitlines()
    escaped = r'a\nb\u001b[2J\u2028 "c"'
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    said .*", first)
    assert (
        first.split(" ", 1)[1]
        == rf'INFO    said {escaped} status=200 id={json.dumps(FORGED)} route=/v1/answer empty=""'
    )
    assert second.split(" ", 1)[1] == "ERROR   defect job=ans-1"
    assert len(traceback) > 2
    assert all(line.isprintable() for line in traceback)
    assert all(line.startswith("  ") for line in traceback)


@pytest.mark.parametrize(
    ("form", "on_terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("text", False, False)],
)
def test_a_terminal_gets_text_and_a_container_json(
    form: LogFormat,
    *,
    on_terminal: bool,
    is_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal)
    logs.configure("info", form)
    logging.getLogger("services.some").info("said")
    assert capsys.readouterr().err.startswith("{") == is_json
