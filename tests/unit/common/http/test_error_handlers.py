"""Errors outside the handlers also use the envelope."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from services.common.http import error_handlers
from services.common.http.error_handlers import problem
from services.wire.errors import DeadlineError, TooLargeError


def get(status: int) -> httpx.Response:
    app = FastAPI()
    error_handlers.install(app)

    @app.get("/refuse")
    async def refuse() -> None:
        if status == 0:
            message = "a secret"
            raise RuntimeError(message)
        raise HTTPException(status, "so it is", {"Retry-After": "3"})

    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            return await client.get("/refuse")

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "invalid_request_error"), (499, "invalid_request_error"), (500, "server_error"), (503, "server_error")],
)
def test_a_refusal_of_the_framework_is_the_callers_fault_below_500(status: int, kind: str) -> None:
    answer = get(status)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "3")
    assert answer.json() == {"error": {"message": "so it is", "type": kind, "param": None, "code": "http_error"}}


def test_a_bug_is_logged_and_not_exposed(caplog: pytest.LogCaptureFixture) -> None:
    answer = get(0)
    assert answer.status_code == 500
    message = "internal server error; the server's log has the traceback"
    assert answer.json() == {
        "error": {"message": message, "type": "server_error", "param": None, "code": "internal_error"}
    }
    (record,) = caplog.records
    assert (record.levelname, record.exc_info and str(record.exc_info[1])) == ("ERROR", "a secret")


def test_an_error_keeps_its_field_its_status_and_the_headers_given() -> None:
    answer = problem(TooLargeError("scale it down", "image"), {"X-Request-Id": "7"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (413, "7")
    assert answer.body == (
        b'{"error":{"message":"scale it down","type":"invalid_request_error","param":"image","code":"too_large"}}'
    )
    assert problem(DeadlineError("late")).status_code == 504
