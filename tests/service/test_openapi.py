"""``/openapi.json``: its examples are answered, and what the service does is in it.

``OPENAPI_EXAMPLES`` sets how many requests are made of the document for each route.
"""

import os
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from clients.launcher import Service
from services.common.http.openapi.examples import answer_example

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "8"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def document(service: Service) -> dict[str, Any]:
    described: dict[str, Any] = httpx.get(f"{service.url}/openapi.json").json()
    return described


def test_every_example_is_answered_as_it_stands(service: Service) -> None:
    tried = 0
    for path, methods in document(service)["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                answer = httpx.request(method, f"{service.url}{path}", json=body["example"], timeout=60)
                assert answer.status_code == 200, answer.text
                assert answer.json().get("ignored", []) == []
                tried += 1
    assert tried == 2


def test_the_page_says_what_this_is_and_every_route_what_it_does(service: Service) -> None:
    described = document(service)
    (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
    assert described["info"]["title"] == "Tallyglass"
    assert card["id"] not in described["info"]["title"] + described["info"]["description"]
    tags = {tag["name"]: tag["description"] for tag in described["tags"]}
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert all(reply["description"] for operation in operations for reply in operation["responses"].values())
    assert {tag for operation in operations for tag in operation["tags"]} == set(tags)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


def test_a_form_is_described_as_it_is_sent(service: Service, png: bytes) -> None:
    described = document(service)
    content = described["paths"]["/v1/answer"]["post"]["requestBody"]["content"]
    name = content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    assert described["components"]["schemas"][name]["properties"]["image"]["format"] == "binary"
    form = {"question": answer_example()["question"]}
    sent = httpx.post(f"{service.url}/v1/answer", data=form, files={"image": ("a.png", png)}, timeout=60)
    assert sent.status_code == 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the generator's own
def test_whatever_the_document_allows_is_answered_as_documented(service: Service) -> None:
    schema, counted = schemathesis.openapi.from_url(f"{service.url}/openapi.json"), Counter[str]()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found

        @SETTINGS
        @given(case=found.ok().as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            response = case.call(base_url=service.url, timeout=60)
            counted[f"{case.method} {case.path} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

        ask()
    assert {key.rpartition(" ")[0] for key in counted} == {
        f"{method.upper()} {path}" for path, methods in document(service)["paths"].items() for method in methods
    }
    print(service.name, dict(sorted(counted.items())))  # noqa: T201 shown with -s
