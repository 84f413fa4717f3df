"""``/v1/chat/completions`` of both services, driven by the ``openai`` package."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image
from pydantic import BaseModel

from clients.launcher import Service
from services.wire.answer import AnswerResponse
from services.wire.errors import ErrorEnvelope
from tests.images import encode, png_header

QUESTION = "How many shapes are there?"


def image_part(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}}


def messages(png: bytes, text: str = QUESTION) -> Any:
    return [{"role": "user", "content": [image_part(png), {"type": "text", "text": text}]}]


def other_image(shade: int) -> bytes:
    return encode(Image.new("RGB", (120, 100), (shade, 10, 10)))


@pytest.fixture
def client(service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def qwen(qwen_vl: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{qwen_vl.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def answer_of(service: Service, png: bytes) -> str:
    body = {"image": base64.b64encode(png).decode(), "question": QUESTION}
    answer: str = httpx.post(f"{service.url}/v1/answer", json=body, timeout=60).json()["answer"]
    return answer


def extra(model: BaseModel) -> dict[str, Any]:
    return model.model_extra or {}


def test_a_completion_is_the_answer(client: openai.OpenAI, service: Service, png: bytes) -> None:
    (card,) = client.models.list().data
    completion = client.chat.completions.create(model=card.id, messages=messages(png))
    (choice,) = completion.choices
    assert choice.message.content is not None
    assert choice.message.content.strip() == answer_of(service, png)
    assert (completion.object, completion.model, choice.finish_reason) == ("chat.completion", card.id, "stop")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert choice.logprobs is None


def test_a_stream_is_the_completion(client: openai.OpenAI, png: bytes) -> None:
    whole = client.chat.completions.create(model="any", messages=messages(png))
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="any", messages=messages(png), stream=True, stream_options=options)
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) == {None}
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_asynchronous_client(service: Service, png: bytes) -> None:
    async def ask() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
            whole, stream = await asyncio.gather(
                client.chat.completions.create(model="any", messages=messages(png)),
                client.chat.completions.create(model="any", messages=messages(png), stream=True),
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    whole, streamed = asyncio.run(ask())
    assert whole
    assert whole == streamed


def test_a_stream_is_server_sent_events_that_end_with_done(service: Service, png: bytes) -> None:
    body = {"messages": messages(png), "stream": True}
    response = httpx.post(f"{service.url}/v1/chat/completions", json=body, timeout=60)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    for event in events:
        assert json.loads(event.removeprefix("data: "))["object"] == "chat.completion.chunk"


def test_an_answer_is_cut_at_max_tokens_and_stop(client: openai.OpenAI, png: bytes) -> None:
    content = client.chat.completions.create(model="any", messages=messages(png)).choices[0].message.content
    assert content
    for name in ("max_tokens", "max_completion_tokens"):
        limit: Any = {name: 1}
        cut = client.chat.completions.create(model="any", messages=messages(png), **limit)
        assert cut.choices[0].finish_reason == "length"
        assert cut.usage is not None
        assert cut.usage.completion_tokens == 1
    stopped = client.chat.completions.create(model="any", messages=messages(png), stop=["zzz", content[-1]])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == (
        content[: content.index(content[-1])],
        "stop",
    )
    stream = client.chat.completions.create(model="any", messages=messages(png), stop=content[-1], stream=True)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert streamed == content[: content.index(content[-1])]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "two answers": ("n", {"n": 2}),
    "a penalty": ("frequency_penalty", {"frequency_penalty": 0.5}),
    "a bias": ("logit_bias", {"logit_bias": {"5": 1}}),
    "tools": ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    "JSON mode": ("response_format", {"response_format": {"type": "json_object"}}),
    "an unknown field": ("guided_json", {"extra_body": {"guided_json": {}}}),
    "no tokens": ("max_tokens", {"max_tokens": 0}),
    "no messages": ("messages", {"messages": []}),
    "an unknown role": ("messages.0.role", {"messages": [{"role": "tool", "content": "x"}]}),
    "a remote image": (
        "messages.0.content.0.image_url.url",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c"}}]}]},
    ),
}


@pytest.mark.parametrize(("param", "fields"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_supported_is_refused_by_name(
    client: openai.OpenAI, png: bytes, param: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(**{"model": "any", "messages": messages(png), **fields})
    assert refused.value.param == param
    assert len(refused.value.message) < 400


def test_what_changes_nothing_is_taken(client: openai.OpenAI, png: bytes) -> None:
    harmless: dict[str, Any] = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "metadata": {"a": "b"},
        "n": 1,
        "response_format": {"type": "text"},
        "store": True,
        "user": "somebody",
    }
    nulls: dict[str, Any] = {"stop": None, "tools": None, "stream_options": None, "logprobs": None}
    others: Any = {"top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "ignore_eos": False}
    plain = client.chat.completions.create(model="any", messages=messages(png), temperature=0)
    asked = client.chat.completions.with_raw_response.create(
        model="any", messages=messages(png), temperature=0, extra_body=others, **harmless, **nulls
    )
    completion = asked.parse()
    assert completion.choices[0].message.content == plain.choices[0].message.content
    assert completion.system_fingerprint == plain.system_fingerprint is not None
    named = set(harmless) | set(others)
    assert set(extra(completion)["ignored"]) == set(asked.headers["x-ignored-fields"].split(", ")) == named
    assert extra(plain)["ignored"] == []


def test_a_client_may_allow_more_tokens_than_the_server_gives(client: openai.OpenAI, png: bytes) -> None:
    completion = client.chat.completions.create(model="any", messages=messages(png), max_tokens=4096)
    assert completion.choices[0].finish_reason == "stop"


def test_a_second_question_is_about_the_image_of_an_earlier_turn(client: openai.OpenAI, png: bytes) -> None:
    first = client.chat.completions.create(model="any", messages=messages(png, "What type of chart is it?"))
    came_back = first.choices[0].message.model_dump() | {"id": "7", "reasoning_content": None}
    turns: Any = [*messages(png, "What type of chart is it?"), came_back, {"role": "user", "content": QUESTION}]
    second = client.chat.completions.create(model="any", messages=turns)
    assert second.choices[0].message.content
    assert second.usage is not None
    details = second.usage.prompt_tokens_details
    assert details is not None
    assert details.model_dump()["image_tokens"] > 0


def test_the_model_is_retrieved_by_its_name(client: openai.OpenAI) -> None:
    (card,) = client.models.list().data
    assert client.models.retrieve(card.id) == card
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("some/other")


def test_images_are_checked(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="any", messages=messages(b"no image"))
    assert refused.value.status_code == 415
    many: Any = [{"role": "user", "content": [*[image_part(other_image(1))] * 17, {"type": "text", "text": "?"}]}]
    with pytest.raises(openai.UnprocessableEntityError, match="17 images, at most 16"):
        client.chat.completions.create(model="any", messages=many)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("bad", "status"),
    [(png_header(30_000, 30_000), 413), (b"no image", 415), (b"", 415)],
    ids=["huge", "text", "empty"],
)
def test_every_image_of_a_conversation_is_checked(
    client: openai.OpenAI, png: bytes, place: int, bad: bytes, status: int
) -> None:
    """The first error is in a turn that MatCha does not read, and is rejected all the same."""
    images = [other_image(30), other_image(60), png]
    images[place] = bad
    turns = [turn for image in images for turn in messages(image)]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="any", messages=turns)
    assert (refused.value.status_code, refused.value.param) == (status, f"messages.{place}.content.0.image_url")


def test_a_client_that_leaves_breaks_nothing(service: Service, png: bytes) -> None:
    def in_flight() -> float:
        lines = httpx.get(f"{service.url}/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith("tallyglass_requests_in_flight "))

    body = {"messages": messages(png), "stream": True, "max_tokens": 64}
    for _ in range(5):
        with httpx.stream("POST", f"{service.url}/v1/chat/completions", json=body, timeout=60) as response:
            next(response.iter_lines())
    assert answer_of(service, png)
    assert in_flight() == 0


def test_matcha_reads_the_last_user_message(matcha: Service, png: bytes) -> None:
    with openai.OpenAI(base_url=f"{matcha.url}/v1", api_key="none", max_retries=0) as client:
        turns = [
            {"role": "system", "content": "Be brief."},
            *messages(other_image(200), "What type of chart is it?"),
            {"role": "assistant", "content": "None."},
            *messages(png),
        ]
        completion = client.chat.completions.create(model="any", messages=turns, extra_body={"max_patches": 50})
        body = {"image": base64.b64encode(png).decode(), "question": QUESTION, "max_patches": 50}
        direct = AnswerResponse.model_validate_json(
            httpx.post(f"{matcha.url}/v1/answer", json=body, timeout=60).content
        )
        assert completion.choices[0].message.content == direct.answer
        assert completion.usage is not None
        assert completion.usage.prompt_tokens == direct.usage.prompt_tokens
        earlier = [*messages(png, "What type of chart is it?"), {"role": "assistant", "content": "None."}]
        asked_in_text = [*turns[:3], *earlier, {"role": "user", "content": QUESTION}]
        later = client.chat.completions.create(model="any", messages=asked_in_text, extra_body={"max_patches": 50})
        assert later.choices[0].message.content == direct.answer
        refused: dict[str, dict[str, Any]] = {
            "one image to ask about": {"messages": [{"role": "user", "content": "How many?"}]},
            "logprobs": {"logprobs": True},
            "lens": {"extra_body": {"lens": {}}},
        }
        for text, fields in refused.items():
            with pytest.raises(openai.UnprocessableEntityError, match=text):
                client.chat.completions.create(**{"model": "any", "messages": messages(png), **fields})


def test_qwen_vl_answers_in_a_conversation(qwen: openai.OpenAI, png: bytes) -> None:
    first = qwen.chat.completions.create(model="any", messages=messages(png))
    turns: Any = [
        {"role": "developer", "content": "Answer with a digit."},
        *messages(png),
        first.choices[0].message,
        {"role": "user", "content": [image_part(other_image(3)), {"type": "text", "text": "And here?"}]},
    ]
    second = qwen.chat.completions.create(model="any", messages=turns)
    assert first.usage is not None
    assert second.usage is not None
    details = second.usage.prompt_tokens_details
    assert details is not None
    assert details.model_dump()["image_tokens"] == 3 * 4 + 4 * 4
    assert second.usage.prompt_tokens > 3 * 4 + 4 * 4 + 30
    assert second.choices[0].message.content
    only_text = qwen.chat.completions.create(model="any", messages=[{"role": "user", "content": "How many?"}])
    assert extra(only_text)["cache"] is None


def test_qwen_vl_gives_log_probabilities(qwen: openai.OpenAI, png: bytes) -> None:
    whole = qwen.chat.completions.create(model="any", messages=messages(png), logprobs=True, top_logprobs=3)
    (choice,) = whole.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    for token in choice.logprobs.content:
        assert token.logprob <= 0
        assert token.top_logprobs[0].token == token.token
        assert bytes(token.bytes or []).decode() == token.token
    stream = qwen.chat.completions.create(
        model="any", messages=messages(png), logprobs=True, top_logprobs=3, stream=True
    )
    streamed = [chunk.choices[0].logprobs for chunk in stream]
    contents = [token for scores in streamed if scores for token in scores.content or []]
    assert [token.token for token in contents] == [token.token for token in choice.logprobs.content]
    with pytest.raises(openai.UnprocessableEntityError, match="needs 'logprobs'"):
        qwen.chat.completions.create(model="any", messages=messages(png), top_logprobs=3)


def test_qwen_vl_reads_control_tokens_in_any_turn_as_text(qwen: openai.OpenAI) -> None:
    for place in range(3):
        texts: list[Any] = ["Be brief.", "2", [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]]
        texts[place] = [{"type": "text", "text": "x<|im_"}, {"type": "text", "text": "end|>"}]
        roles = ("system", "assistant", "user")
        turns: Any = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
        usage = qwen.chat.completions.create(model="any", messages=turns).usage
        assert usage
        plain = [{"role": turn["role"], "content": "x"} for turn in turns]
        shorter: Any = plain
        fewer = qwen.chat.completions.create(model="any", messages=shorter).usage
        assert fewer
        assert usage.prompt_tokens > fewer.prompt_tokens


def test_qwen_vl_scores_the_token_that_was_drawn(qwen: openai.OpenAI, png: bytes) -> None:
    drawn_below_the_best = 0
    for seed in range(8):
        completion = qwen.chat.completions.create(
            model="any", messages=messages(png), temperature=2, seed=seed, max_tokens=4, logprobs=True, top_logprobs=20
        )
        scores = completion.choices[0].logprobs
        assert scores is not None
        for token in scores.content or []:
            ranked = {tuple(one.bytes or []): one.logprob for one in token.top_logprobs}
            assert token.logprob <= max(ranked.values())
            drawn_below_the_best += token.logprob < max(ranked.values())
            if tuple(token.bytes or []) in ranked:
                assert token.logprob == ranked[tuple(token.bytes or [])]
    assert drawn_below_the_best > 0


def test_qwen_vl_draws_from_the_nucleus(qwen: openai.OpenAI, png: bytes) -> None:
    def drawn(top_p: float) -> set[str | None]:
        asked = (
            qwen.chat.completions.create(
                model="any", messages=messages(png), max_tokens=1, temperature=2, seed=seed, top_p=top_p
            )
            for seed in range(10)
        )
        return {completion.choices[0].message.content for completion in asked}

    greedy = qwen.chat.completions.create(model="any", messages=messages(png), max_tokens=1)
    assert drawn(1e-6) == {greedy.choices[0].message.content}
    assert len(drawn(1.0)) > 1


def test_qwen_vl_samples_by_seed_and_is_greedy_without_temperature(qwen: openai.OpenAI, png: bytes) -> None:
    def ask(**fields: Any) -> str | None:
        completion = qwen.chat.completions.create(model="any", messages=messages(png), max_tokens=6, **fields)
        content: str | None = completion.choices[0].message.content
        return content

    drawn = [ask(temperature=2.0, seed=seed) for seed in range(12)]
    assert len(set(drawn)) > 1
    assert drawn == [ask(temperature=2.0, seed=seed) for seed in range(12)]
    assert ask() == ask(seed=5) == ask(temperature=0) == ask(top_p=0.3)
    for fields in ({"temperature": 3}, {"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}):
        with pytest.raises(openai.UnprocessableEntityError):
            ask(**fields)


def test_qwen_vl_puts_the_lens_on_the_choice(qwen: openai.OpenAI, png: bytes) -> None:
    body: Any = {"lens": {"top_k": 2, "layers": [3, 8], "track": ["3"], "tokens": "all", "image_tokens": True}}
    whole = qwen.chat.completions.create(model="any", messages=messages(png), extra_body=body)
    lens = extra(whole.choices[0])["lens"]
    assert whole.usage is not None
    assert len(lens["steps"]) == whole.usage.completion_tokens > 1
    assert [layer["layer"] for layer in lens["steps"][0]["layers"]] == [3, 8]
    assert lens["steps"][0]["layers"][1]["track"][0].keys() == {"token", "prob", "rank"}
    (grid,) = lens["image_tokens"]
    assert (grid["width_px"], grid["height_px"]) == (224, 160)
    # smart_resize: both sides over sqrt(224 * 160 / 12,996), the model's maximum pixels, floored to multiples of 28
    assert (grid["rows"], grid["columns"]) == (3, 4)
    assert (grid["cell_width_px"], grid["cell_height_px"]) == (224 / 4, pytest.approx(160 / 3))
    assert [len(row) for row in grid["layers"][0]["track"][0]["probs"]] == [4, 4, 4]
    assert [len(row) for row in grid["layers"][1]["tokens"]] == [4, 4, 4]
    stream = qwen.chat.completions.create(model="any", messages=messages(png), extra_body=body, stream=True)
    last = list(stream)[-1]
    assert extra(last.choices[0])["lens"]["steps"][0]["token"] == lens["steps"][0]["token"]


def test_two_requests_for_a_new_image_pay_for_it_once(qwen_vl: Service) -> None:
    image = other_image(77)

    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{qwen_vl.url}/v1", api_key="none", max_retries=0) as client:
            asked = (client.chat.completions.create(model="any", messages=messages(image, text)) for text in "abcd")
            return list(await asyncio.gather(*asked))

    def counted(result: str) -> float:
        lines = httpx.get(f"{qwen_vl.url}/metrics").text.splitlines()
        wanted = f'tallyglass_prefix_cache_total{{result="{result}"}}'
        return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)

    before = counted("miss"), counted("hit")
    completions = asyncio.run(ask())
    assert sorted(extra(completion)["cache"] for completion in completions) == ["hit", "hit", "hit", "miss"]
    assert (counted("miss"), counted("hit")) == (before[0] + 1, before[1] + 3)


def test_long_answers_end_at_their_length(qwen: openai.OpenAI, png: bytes) -> None:
    long = qwen.chat.completions.create(model="any", messages=messages(png), temperature=2.0, seed=1, max_tokens=512)
    assert long.usage is not None
    assert long.choices[0].finish_reason == ("length" if long.usage.completion_tokens == 512 else "stop")
    text = "How many? " * 2500
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        qwen.chat.completions.create(model="any", messages=messages(png, text), max_tokens=512)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")


def test_qwen_vl_takes_pixel_bounds(qwen_vl: Service) -> None:
    image = encode(Image.new("RGB", (1000, 500), "white"))

    def tokens(**bounds: int) -> int:
        body = {"image": base64.b64encode(image).decode(), "question": "How many?", **bounds}
        response = httpx.post(f"{qwen_vl.url}/v1/answer", json=body, timeout=60)
        assert response.status_code == 200, response.text
        count: int = response.json()["usage"]["image_tokens"]
        return count

    assert (tokens(max_pixels=4704), tokens(), tokens(min_pixels=78400)) == (1 * 3, 2 * 5, 7 * 14)
    body = {"image": base64.b64encode(image).decode(), "question": "How many?", "max_pixels": 10**9}
    response = httpx.post(f"{qwen_vl.url}/v1/answer", json=body, timeout=60)
    assert response.status_code == 422
    assert ErrorEnvelope.model_validate_json(response.content).error.param == "max_pixels"
