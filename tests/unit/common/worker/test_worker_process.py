"""What a service's process sets up: logs, signals, and its end of LitServe's queue."""

import json
import logging
import signal
import warnings
from collections.abc import Iterator

import pytest

from services.common import logs
from services.common.processes import prepare_worker
from services.common.server import QueueSpec
from services.common.worker.messages import Job
from services.wire.contract import WireRequest
from tests.unit.common.http.serving import Settings, answer


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Restores process-wide state: loggers and signal handlers."""
    names = ["", "httpx", *logs.LIBRARIES]
    loggers = [logging.getLogger(name) for name in names]
    kept = [(each, each.level, list(each.handlers), each.propagate) for each in loggers]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    logging.captureWarnings(capture=False)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for logger, level, own, propagate in kept:
        logger.setLevel(level)
        logger.handlers[:] = own
        logger.propagate = propagate


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_record_is_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    log = logging.getLogger("services.some")
    log.info("two\nlines of %s", "text", extra={"status": 200, "total_ms": 1.5})
    try:
        int("three")
    except ValueError:
        log.exception("defect")
    plain, defect = lines(capsys)
    assert plain.pop("time")
    assert plain == {
        "level": "INFO",
        "logger": "services.some",
        "message": "two\nlines of text",
        "status": 200,
        "total_ms": 1.5,
    }
    assert "ValueError: invalid literal" in str(defect["exc_info"])


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_left_out(level: str, expected: int, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logs.configure(level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("services.some").log(number, "said")
    assert len(lines(capsys)) == expected


@pytest.mark.parametrize("name", ["litserve", "uvicorn", "uvicorn.error", "uvicorn.access"])
def test_libraries_speak_through_our_formatter_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger(name)
    library.addHandler(logging.StreamHandler())
    library.propagate = False
    library.setLevel(logging.DEBUG)
    logs.configure("debug")
    library.info("chatter")
    library.warning("look")
    assert [(line["logger"], line["message"]) for line in lines(capsys)] == [(name, "look")]


def test_warnings_are_logged_and_requests_of_a_client_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("corrupt EXIF", UserWarning, stacklevel=1)
    logging.getLogger("httpx").info("GET")
    (line,) = lines(capsys)
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "corrupt EXIF" in str(line["message"])


def test_a_worker_leaves_ctrl_c_to_the_main_process_and_ends_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    prepare_worker(Settings(model="unused", log_level="warning"))
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 0
    logging.getLogger("services.some").info("chatter")
    logging.getLogger("services.some").warning("look")
    assert [line["message"] for line in lines(capsys)] == ["look"]


def test_jobs_and_replies_pass_the_queue_unchanged() -> None:
    spec = QueueSpec()
    job = Job("a", WireRequest(), 1.0, 2.0, 3.0)
    assert spec.decode_request(job) is job
    given = answer()
    assert spec.encode_response(given) is given
    assert spec.api_path == "/v1/answer"


def test_a_worker_gets_no_replies_of_others() -> None:
    spec = QueueSpec()
    spec.response_buffer = {"another": "reply"}
    sent = spec.__getstate__()  # of which pickle makes the worker's
    assert sent["response_buffer"] is None
    assert sent["worker"] is spec.worker, "which they share"
    assert spec.response_buffer == {"another": "reply"}
