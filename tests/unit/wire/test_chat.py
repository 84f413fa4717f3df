"""The fields of OpenAI's request: what is accepted, up to which bound, and what is rejected by name."""

import base64
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from services.wire.answer import MAX_NEW_TOKENS, MatchaRequest
from services.wire.chat import (
    MAX_CHARACTERS,
    MAX_IMAGES,
    MAX_MESSAGES,
    MAX_STOPS,
    ChatRequest,
    MatchaChat,
    QwenVLChat,
)
from tests.unit.common.http.serving import turn

ASKED = {"messages": [turn(b"chart", "How many?")]}

Chat = TypeVar("Chat", bound=ChatRequest)


def read(model: type[Chat], /, **fields: Any) -> Chat:
    return model.model_validate({**ASKED, **fields}, strict=True)


def refusal(model: type[ChatRequest], /, **fields: Any) -> tuple[str, str]:
    """Location and type of the first validation error."""
    with pytest.raises(ValidationError) as caught:
        read(model, **fields)
    first = caught.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


def image(url: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **fields}}]}


def test_the_bounds_follow_the_settings() -> None:
    assert (MAX_MESSAGES, MAX_IMAGES, MAX_CHARACTERS, MAX_STOPS) == (64, 16, 32_000, 4)


@pytest.mark.parametrize(
    ("model", "field", "least", "most"),
    [
        (QwenVLChat, "max_tokens", 1, MAX_NEW_TOKENS),
        (MatchaChat, "max_completion_tokens", 1, MAX_NEW_TOKENS),
        (QwenVLChat, "seed", -(2**63), 2**63 - 1),
        (QwenVLChat, "temperature", 0, 2),
        (QwenVLChat, "top_logprobs", 0, 20),
        (QwenVLChat, "min_pixels", 784, None),
        (QwenVLChat, "max_pixels", 784, None),
        (MatchaChat, "max_patches", 1, None),
    ],
)
def test_numbers_are_taken_up_to_their_bounds(
    model: type[ChatRequest], field: str, least: int, most: int | None
) -> None:
    scored = {"logprobs": True} if field == "top_logprobs" else {}
    for good in (least, *([] if most is None else [most])):
        assert getattr(read(model, **{field: good}, **scored), field) == good
    for bad in (least - 1, *([] if most is None else [most + 1]), "1", True):
        assert refusal(model, **{field: bad}, **scored)[0] == field


@pytest.mark.parametrize(("top_p", "taken"), [(0, False), (1e-9, True), (1, True), (1.001, False)])
def test_top_p_is_above_0_and_at_most_1(top_p: float, *, taken: bool) -> None:
    if taken:
        asked = read(QwenVLChat, top_p=top_p)
        assert asked.model_dump()["top_p"] == top_p
    else:
        assert refusal(QwenVLChat, top_p=top_p)[0] == "top_p"


ONLY: dict[str, tuple[list[Any], list[Any]]] = {
    "n": ([1, None], [0, 2]),
    "frequency_penalty": ([0, 0.0, None], [0.1, -1]),
    "presence_penalty": ([0, 0.0, None], [0.1, -1]),
    "logit_bias": ([{}, None], [{"5": 1}]),
    "tools": ([[], None], [[{}]]),
    "tool_choice": (["none", "auto", None], ["required", {}]),
    "functions": ([[], None], [[{}]]),
    "function_call": (["none", "auto", None], [{"name": "f"}]),
    "response_format": ([{"type": "text"}, None], [{"type": "json_object"}, "text"]),
    "modalities": ([["text"], None], [["audio"], ["text", "audio"]]),
    "audio": ([None], [{}, False]),
    "prediction": ([None], [{}]),
    "reasoning_effort": ([None], ["low"]),
    "verbosity": ([None], ["low"]),
    "web_search_options": ([None], [{}]),
    "service_tier": (["auto", "default", None], ["flex"]),
    "store": ([False, None], [True]),
}
IGNORED = ["user", "metadata", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"]


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize("field", ONLY)
def test_a_field_is_taken_only_with_the_value_that_changes_nothing(model: type[ChatRequest], field: str) -> None:
    taken, refused = ONLY[field]
    for value in taken:
        read(model, **{field: value})
    for value in refused:
        where, why = refusal(model, **{field: value})
        assert where == field
        assert "not supported here; leave it out" in why


def test_a_refusal_says_what_may_be_sent() -> None:
    assert refusal(QwenVLChat, tool_choice="required")[1].endswith("leave it out, or send 'none' or 'auto'")


@pytest.mark.parametrize("field", IGNORED)
def test_what_has_no_effect_is_taken_as_it_is(field: str) -> None:
    for value in ("somebody", {"a": 1}, True, None):
        read(QwenVLChat, **{field: value})


def test_matcha_is_greedy_and_gives_no_scores() -> None:
    read(MatchaChat, temperature=0, top_p=0.3, logprobs=False, top_logprobs=0)
    for field, value in {
        "temperature": 0.1,
        "logprobs": True,
        "top_logprobs": 1,
        "lens": {},
        "min_pixels": 784,
    }.items():
        assert refusal(MatchaChat, **{field: value})[0] == field


@pytest.mark.parametrize(
    "null", ["stop", "seed", "stream", "stream_options", "max_tokens", "model", "logprobs", "lens"]
)
def test_null_is_as_good_as_nothing(null: str) -> None:
    assert read(QwenVLChat, **{null: None}) == read(QwenVLChat)


@pytest.mark.parametrize(
    ("model", "field"), [(QwenVLChat, "best_of"), (MatchaChat, "lens"), (QwenVLChat, "max_patches")]
)
def test_an_unknown_field_is_refused(model: type[ChatRequest], field: str) -> None:
    assert refusal(model, **{field: 3}) == (field, "Extra inputs are not permitted")


def test_stop_is_one_string_or_a_few() -> None:
    assert read(QwenVLChat, stop="end").stop == ["end"]
    assert read(QwenVLChat, stop=["c", "b", "a", "b"]).stop == ["c", "b", "a", "b"]
    assert read(QwenVLChat, stop=[]).stop == []
    assert read(QwenVLChat, stop="x" * 64).stop == ["x" * 64]
    for where, bad in {"stop": list("abcde"), "stop.0": "x" * 65, "stop.1": ["a", ""]}.items():
        assert refusal(QwenVLChat, stop=bad)[0] == where


@pytest.mark.parametrize(("both", "expected"), [((3, None), 3), ((None, 5), 5), ((3, 5), 5), ((None, None), None)])
def test_the_newer_of_openais_two_names_for_the_longest_answer_counts(both: Any, expected: int | None) -> None:
    assert read(QwenVLChat, max_tokens=both[0], max_completion_tokens=both[1]).max_answer_tokens == expected


@pytest.mark.parametrize(
    ("fields", "scores", "pieces", "usage"),
    [
        ({}, False, False, False),
        ({"stream": True}, False, True, False),
        ({"stream": False, "logprobs": True}, True, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, False, True, True),
        ({"stream": True, "stream_options": {}}, False, True, False),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, False, True, False),
    ],
)
def test_what_is_wanted_of_an_answer(fields: Any, *, scores: bool, pieces: bool, usage: bool) -> None:
    asked = read(QwenVLChat, **fields)
    assert (asked.wants_scores, asked.wants_pieces, asked.wants_usage) == (scores, pieces, usage)


def test_top_logprobs_go_with_logprobs() -> None:
    for fields in ({"top_logprobs": 0}, {"top_logprobs": 3, "logprobs": False}):
        assert refusal(QwenVLChat, **fields) == ("", "Value error, 'top_logprobs' needs 'logprobs': true")


@pytest.mark.parametrize("count", [0, 1, MAX_MESSAGES, MAX_MESSAGES + 1])
def test_messages_are_counted(count: int) -> None:
    messages = [turn("a")] * count
    if 1 <= count <= MAX_MESSAGES:
        assert len(read(QwenVLChat, messages=messages).messages) == count
    else:
        assert refusal(QwenVLChat, messages=messages)[0] == "messages"


@pytest.mark.parametrize("count", [0, 1, 128, 129])
def test_the_parts_of_a_message_are_counted(count: int) -> None:
    messages = [turn("a"), turn(*["b"] * count)]
    if 1 <= count <= 128:
        assert read(QwenVLChat, messages=messages).messages[1].text == "\n".join("b" * count)
    else:
        assert refusal(QwenVLChat, messages=messages)[0] == "messages.1.content"


@pytest.mark.parametrize(("first", "second"), [(16, 0), (9, 7), (0, 16), (9, 8), (17, 0), (0, 17)])
def test_images_are_counted_in_all_messages_together(first: int, second: int) -> None:
    messages = [turn("a", *[b"A"] * first), turn("b", *[b"B"] * second)]
    if first + second <= 16:
        assert read(QwenVLChat, messages=messages).images == [b"A"] * first + [b"B"] * second
    else:
        where, why = refusal(QwenVLChat, messages=messages)
        assert (where, why) == ("", "Value error, 17 images, at most 16 are allowed: leave out old turns")


@pytest.mark.parametrize(("first", "second"), [(32_000, 0), (17_000, 15_000), (17_000, 15_001), (1, 32_000)])
def test_characters_are_counted_in_all_messages_together(first: int, second: int) -> None:
    messages = [turn("a" * first), turn("b" * second)]
    if first + second <= 32_000:
        assert [len(message.text) for message in read(QwenVLChat, messages=messages).messages] == [first, second]
    else:
        why = refusal(QwenVLChat, messages=messages)[1]
        assert why == "Value error, 32001 characters of text, at most 32000 are allowed: leave out old turns"


def test_a_text_has_a_bound_of_its_own() -> None:
    assert refusal(QwenVLChat, messages=[turn("a" * 32_001)])[0] == "messages.0.content.0.text.text"


def test_a_message_gives_its_texts_and_its_images_in_order() -> None:
    mixed = turn("one", b"first", "two", b"second", "three")
    (message,) = read(QwenVLChat, messages=[mixed]).messages
    assert (message.text, message.images) == ("one\ntwo\nthree", [b"first", b"second"])
    (plain,) = read(QwenVLChat, messages=[{"role": "user", "content": "How many?"}]).messages
    assert (plain.text, plain.images) == ("How many?", [])


def test_an_answer_may_come_back_as_a_turn_with_its_nulls() -> None:
    answer = {"role": "assistant", "content": "3", "refusal": None, "tool_calls": None, "audio": None, "name": "it"}
    assert read(QwenVLChat, messages=[turn("a"), answer]).messages[1].text == "3"
    assert refusal(QwenVLChat, messages=[turn("a"), {**answer, "refusal": "no"}])[0] == "messages.1.refusal"
    assert refusal(QwenVLChat, messages=[turn("a"), {"role": "assistant", "content": None}])[0] == "messages.1.content"
    assert refusal(QwenVLChat, messages=["How many?"])[0] == "messages.0"


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool", "function", ""])
def test_roles(role: str) -> None:
    messages = [turn("a", role=role)]
    if role in {"system", "developer", "user", "assistant"}:
        assert read(QwenVLChat, messages=messages).messages[0].role == role
    else:
        assert refusal(QwenVLChat, messages=messages)[0] == "messages.0.role"


def test_an_image_is_a_data_url_with_a_hint_that_has_no_effect() -> None:
    url = f"data:image/png;base64,{base64.b64encode(b'chart').decode()}"
    for hint in ({}, {"detail": "low"}, {"detail": "high"}, {"detail": "auto"}, {"detail": None}):
        assert read(QwenVLChat, messages=[image(url, **hint)]).images == [b"chart"]
    assert refusal(QwenVLChat, messages=[image(url, detail="best")])[0].endswith("image_url.detail")
    for bad in ("http://a.b/c", "https://a.b/c", "data:image/png,abc", "!"):
        assert refusal(QwenVLChat, messages=[image(bad)])[0].endswith("image_url.url")


def test_matcha_is_asked_the_last_user_message() -> None:
    messages = [
        turn("Be brief.", role="system"),
        turn(b"old", "Which?"),
        turn("None.", role="assistant"),
        turn("How", b"chart", "many?"),
        turn("Well,", role="assistant"),
    ]
    asked = read(MatchaChat, messages=messages, max_tokens=7, max_patches=9)
    expected = MatchaRequest(image=b"chart", question="How\nmany?", max_new_tokens=7, max_patches=9)
    assert asked.last_question() == expected
    assert asked.images == [b"old", b"chart"]


@pytest.mark.parametrize(
    "messages",
    [
        [turn(b"chart", "?"), turn("And now?")],
        [turn(b"chart", b"chart", "?")],
        [turn(b"chart")],
        [turn(b"chart", " \n ")],
        [turn(b"chart", "?", role="system")],
    ],
    ids=["no image", "two", "no question", "a blank one", "no user"],
)
def test_matcha_needs_one_image_and_a_question(messages: list[Any]) -> None:
    where, why = refusal(MatchaChat, messages=messages)
    assert (where, why[:64]) == ("", "Value error, the last user message must contain one image and a ")


def test_matchas_question_is_as_long_as_of_its_other_route() -> None:
    longest = read(MatchaChat, messages=[turn(b"chart", "q" * 2000)]).last_question()
    assert longest.model_dump()["question"] == "q" * 2000
    assert refusal(MatchaChat, messages=[turn(b"chart", "q" * 2001)])[1].endswith(
        "2001 characters, at most 2000 are allowed"
    )
