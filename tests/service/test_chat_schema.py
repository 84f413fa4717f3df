"""Whatever OpenAI's schema allows is answered, or refused by the name of a field: requests made of its own types.

``TALLYGLASS_CHAT_REQUESTS=5000`` tries that many, others each time; the suite tries a few, always the same.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from clients.launcher import Service
from tests.openai_schema import CHAT_REQUESTS

ASKED = os.environ.get("TALLYGLASS_CHAT_REQUESTS")


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=120) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(0 if ASKED else 300)
@settings(
    max_examples=int(ASKED or 40),
    derandomize=not ASKED,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(CHAT_REQUESTS)
def test_a_request_is_answered_or_refused_by_a_fields_name(
    matcha: Service, qwen_vl: Service, http: httpx.Client, fields: Any
) -> None:
    for service in (matcha, qwen_vl):
        answer = http.post(f"{service.url}/v1/chat/completions", json=fields)
        if answer.status_code == 200:
            check_answer(answer, streams=fields.get("stream") is True)
        else:
            check_refusal(answer.json()["error"], answer.status_code, fields)


def check_answer(answer: httpx.Response, *, streams: bool) -> None:
    if not streams:
        ChatCompletion.model_validate_json(answer.content, strict=True)
        return
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    for event in events:
        ChatCompletionChunk.model_validate_json(event.removeprefix("data: "), strict=True)


def check_refusal(error: dict[str, Any], status: int, fields: dict[str, Any]) -> None:
    assert status in {413, 415, 422}, error
    *way, last = error["param"].split(".")
    place: Any = fields
    for part in way:
        assert isinstance(place, dict | list), (error, fields)
        place = place[int(part)] if isinstance(place, list) else place[part]
    missing = "missing" in error["message"] or "one image" in error["message"]
    found = last in place if isinstance(place, dict) else int(last) < len(place)
    assert found or missing, (error, json.dumps(fields))
