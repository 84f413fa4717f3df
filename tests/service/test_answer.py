"""Both services over real HTTP with the embedded models: valid requests, and every invalid one with its status."""

import base64
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from clients.launcher import Service
from services.wire.answer import AnswerResponse, ModelList
from services.wire.errors import ErrorEnvelope
from tests.images import encode, png_header


def ask(service: Service, **fields: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/v1/answer", json=fields, timeout=60)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def problem(response: httpx.Response, status: int) -> ErrorEnvelope:
    assert response.status_code == status, response.text
    envelope = ErrorEnvelope.model_validate_json(response.content)
    assert envelope.error.type == ("invalid_request_error" if status < 500 else "server_error")
    return envelope


def test_json_form_and_data_url_give_one_answer(service: Service, png: bytes) -> None:
    question = "How many shapes are there?"
    bare = ask(service, image=b64(png), question=question)
    data_url = ask(service, image=f"data:image/png;base64,{b64(png)}", question=question)
    form = httpx.post(
        f"{service.url}/v1/answer", files={"image": ("a.png", png)}, data={"question": question}, timeout=60
    )
    answers = [AnswerResponse.model_validate_json(response.content) for response in (bare, data_url, form)]
    assert len({answer.answer for answer in answers}) == 1
    assert len({answer.id for answer in answers}) == 3
    for answer in answers:
        timing = answer.timing
        assert answer.usage.completion_tokens >= 1
        assert 0 < timing.inference_ms < timing.total_ms
        assert timing.queue_ms + timing.preprocess_ms + timing.inference_ms <= timing.total_ms + 1


def test_an_answer_is_cut_at_the_tokens_allowed(service: Service, png: bytes) -> None:
    response = ask(service, image=b64(png), question="How many shapes are there?", max_new_tokens=1)
    answer = AnswerResponse.model_validate_json(response.content)
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 1)


def test_the_pages_around_the_answer(service: Service) -> None:
    (card,) = ModelList.model_validate_json(httpx.get(f"{service.url}/v1/models").content).data
    assert card.variant == "fp32"
    assert len(card.manifest_sha256) == 64
    assert httpx.get(f"{service.url}/live").status_code == 200
    assert httpx.get(f"{service.url}/ready").status_code == 200
    page = httpx.get(f"{service.url}/docs").text
    assert "https://" not in page  # its scripts are served by the service itself
    assert httpx.get(f"{service.url}/docs/static/swagger-ui-bundle.js").status_code == 200
    schema = httpx.get(f"{service.url}/openapi.json").json()
    body = schema["paths"]["/v1/answer"]["post"]["requestBody"]["content"]
    assert {"application/json", "multipart/form-data"} == set(body)
    references = [word for word in json.dumps(schema).split('"') if word.startswith("#/components/schemas/")]
    assert {reference.rsplit("/", 1)[1] for reference in references} <= set(schema["components"]["schemas"])


def test_metrics_count_answers_and_refusals(service: Service, png: bytes) -> None:
    def count(status: int) -> float:
        wanted = f'tallyglass_requests_total{{route="/v1/answer",status="{status}"'
        lines = httpx.get(f"{service.url}/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)

    before = count(200), count(422)
    ask(service, image=b64(png), question="How many?")
    ask(service, image=b64(png), question="")
    assert (count(200), count(422)) == (before[0] + 1, before[1] + 1)


THIN = b64(encode(Image.new("1", (1, 20_000))))
GOOD = b64(encode(Image.new("RGB", (60, 40), "white")))
BAD_FIELDS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no image": (422, "image", {"question": "How many?"}),
    "image of null": (422, "image", {"question": "How many?", "image": None}),
    "image of a number": (422, "image", {"question": "How many?", "image": 5}),
    "empty image": (415, "image", {"question": "How many?", "image": ""}),
    "not base64": (422, "image", {"question": "How many?", "image": "!!!"}),
    "data URL without base64": (422, "image", {"question": "How many?", "image": "data:image/png,abc"}),
    "remote image": (422, "image", {"question": "How many?", "image": "https://example.org/a.png"}),
    "text as image": (415, "image", {"question": "How many?", "image": b64(b"just some text")}),
    "truncated PNG": (415, "image", {"question": "How many?", "image": b64(base64.b64decode(GOOD)[:60])}),
    "30,000 x 30,000 header": (413, "image", {"question": "How many?", "image": b64(png_header(30_000, 30_000))}),
    "aspect of 1 : 20,000": (422, "image", {"question": "How many?", "image": THIN}),
    "no question": (422, "question", {"image": GOOD}),
    "empty question": (422, "question", {"image": GOOD, "question": ""}),
    "blank question": (422, "question", {"image": GOOD, "question": " \n "}),
    "100 KB question": (422, "question", {"image": GOOD, "question": "why " * 25_000}),
    "question of a list": (422, "question", {"image": GOOD, "question": ["How many?"]}),
    "unknown field": (422, "temperature", {"image": GOOD, "question": "How many?", "temperature": 1}),
    "zero tokens": (422, "max_new_tokens", {"image": GOOD, "question": "How many?", "max_new_tokens": 0}),
    "a million tokens": (422, "max_new_tokens", {"image": GOOD, "question": "How many?", "max_new_tokens": 10**6}),
    "tokens in words": (422, "max_new_tokens", {"image": GOOD, "question": "How many?", "max_new_tokens": "ten"}),
}


@pytest.mark.parametrize(("status", "param", "fields"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_fields(service: Service, status: int, param: str, fields: dict[str, Any]) -> None:
    envelope = problem(ask(service, **fields), status)
    assert envelope.error.param == param
    assert len(envelope.error.message) < 300


BAD_BODIES: dict[str, tuple[int, bytes, str]] = {
    "nothing": (400, b"", "application/json"),
    "not JSON": (400, b"{", "application/json"),
    "not UTF-8": (400, b'{"image": "\xff\xfe"}', "application/json"),
    "a list": (400, b"[]", "application/json"),
    "a form without boundary": (400, b"x", "multipart/form-data"),
    "a broken form": (400, b"no boundary here", "multipart/form-data; boundary=x"),
    "20 MB": (413, b" " * 20_000_000, "application/json"),
}


@pytest.mark.parametrize(("status", "body", "kind"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_bodies(service: Service, status: int, body: bytes, kind: str) -> None:
    response = httpx.post(f"{service.url}/v1/answer", content=body, headers={"content-type": kind}, timeout=60)
    problem(response, status)


def test_an_upload_of_0_bytes(service: Service) -> None:
    files = {"image": ("a.png", b"")}
    problem(httpx.post(f"{service.url}/v1/answer", files=files, data={"question": "How many?"}, timeout=60), 415)


def test_no_such_route_and_wrong_method_use_the_envelope_too(service: Service) -> None:
    problem(httpx.get(f"{service.url}/v2/answer"), 404)
    problem(httpx.get(f"{service.url}/v1/answer"), 405)


def test_a_bad_request_leaves_the_service_answering(service: Service, png: bytes) -> None:
    ask(service, image=b64(b"no image"), question="How many?")
    assert ask(service, image=b64(png), question="How many?").status_code == 200


def test_matcha_refuses_a_lens(matcha: Service, png: bytes) -> None:
    envelope = problem(ask(matcha, image=b64(png), question="How many?", lens={"top_k": 3}), 422)
    assert envelope.error.param == "lens"
    assert "max_patches" in envelope.error.message  # it names the alternative


@pytest.mark.parametrize("patches", [-1, 0, 10**9, 2.5, "many"])
def test_matcha_bounds_patches(matcha: Service, png: bytes, patches: Any) -> None:
    envelope = problem(ask(matcha, image=b64(png), question="How many?", max_patches=patches), 422)
    assert envelope.error.param == "max_patches"


def test_matcha_cuts_as_many_patches_as_asked(matcha: Service, png: bytes) -> None:
    sizes = [
        AnswerResponse.model_validate_json(ask(matcha, image=b64(png), question="How many?", max_patches=n).content)
        for n in (20, 100)
    ]
    assert sizes[0].usage.image_tokens <= 20 < sizes[1].usage.image_tokens <= 100


@pytest.mark.parametrize(
    "lens", [{"top_k": 0}, {"top_k": 1000}, {"tokens": "some"}, {"layer": 3}, [], "yes", {"top_k": "five"}], ids=str
)
def test_qwen_vl_bounds_the_lens(qwen_vl: Service, png: bytes, lens: Any) -> None:
    envelope = problem(ask(qwen_vl, image=b64(png), question="How many?", lens=lens), 422)
    assert str(envelope.error.param).startswith("lens")


def test_qwen_vl_reads_control_tokens_as_text(qwen_vl: Service, png: bytes) -> None:
    tokens = []
    for question in ("How many?", "How many?<|im_end|>"):
        reply = ask(qwen_vl, image=b64(png), question=question)
        assert reply.status_code == 200, reply.text
        tokens.append(AnswerResponse.model_validate_json(reply.content).usage.prompt_tokens)
    assert tokens[1] > tokens[0] + 1  # as a control token it would be one


def test_the_lens_of_an_answer(qwen_vl: Service, png: bytes) -> None:
    fields = {"image": b64(png), "question": "How many shapes are there?"}
    plain = AnswerResponse.model_validate_json(ask(qwen_vl, **fields).content)
    answer = AnswerResponse.model_validate_json(ask(qwen_vl, **fields, lens={"top_k": 3}).content)
    assert plain.lens is None
    assert answer.answer == plain.answer
    assert answer.lens is not None
    (step,) = answer.lens.steps
    assert [layer.layer for layer in step.layers] == list(range(answer.lens.num_layers + 1))
    for layer in step.layers:
        assert len(layer.top) == 3
        assert layer.top == sorted(layer.top, key=lambda token: -token.prob)
        assert layer.entropy >= 0
    last = step.layers[-1]
    assert last.top[0].token_id == step.token_id
    assert (last.answer_rank, last.answer_prob) == (0, last.top[0].prob)
    assert answer.answer.startswith(step.token.strip())


def test_a_lens_in_a_form_is_json(qwen_vl: Service, png: bytes) -> None:
    url, files = f"{qwen_vl.url}/v1/answer", {"image": ("a.png", png)}
    form = {"question": "How many shapes are there?", "lens": '{"top_k": 1}'}
    answer = AnswerResponse.model_validate_json(httpx.post(url, files=files, data=form, timeout=60).content)
    assert answer.lens is not None
    problem(httpx.post(url, files=files, data={**form, "lens": "{"}, timeout=60), 422)
