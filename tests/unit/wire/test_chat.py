"""The fields of OpenAI's request: what is accepted, up to which bound, and what is rejected by name."""

import base64
from typing import Any, TypeVar

import pytest

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
from services.wire.errors import InvalidRequestError
from services.wire.reading import read as read_fields
from tests.unit.common.http.serving import turn

ASKED = {"messages": [turn(b"chart", "How many?")]}

Chat = TypeVar("Chat", bound=ChatRequest)


def read(model: type[Chat], /, **fields: Any) -> Chat:
    return read_fields(model, {**ASKED, **fields}).asked


def ignored(model: type[ChatRequest], /, **fields: Any) -> list[str]:
    return read_fields(model, {**ASKED, **fields}).ignored


def refusal(model: type[ChatRequest], /, **fields: Any) -> tuple[str | None, str]:
    """The field that is refused, and the message, which names it as the client wrote it."""
    with pytest.raises(InvalidRequestError) as caught:
        read(model, **fields)
    return caught.value.param, caught.value.message


def image(url: object, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **fields}}]}


def test_the_bounds_follow_the_settings() -> None:
    assert (MAX_MESSAGES, MAX_IMAGES, MAX_CHARACTERS, MAX_STOPS) == (64, 16, 32_000, 4)


@pytest.mark.parametrize(
    ("model", "field", "least", "most"),
    [
        (QwenVLChat, "max_tokens", 1, None),
        (MatchaChat, "max_completion_tokens", 1, None),
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
    "n": ([1], [0, 2, True]),
    "frequency_penalty": ([0, 0.0], [0.1, -1, False]),
    "presence_penalty": ([0, 0.0], [0.1, -1]),
    "repetition_penalty": ([1.0, 1], [1.1, 0]),
    "logit_bias": ([{}], [{"5": 1}]),
    "tools": ([[]], [[{}]]),
    "tool_choice": (["none", "auto"], ["required", {}]),
    "functions": ([[]], [[{}]]),
    "function_call": (["none", "auto"], [{"name": "f"}]),
    "response_format": ([{"type": "text"}], [{"type": "json_object"}, "text"]),
    "modalities": ([["text"]], [["audio"], ["text", "audio"]]),
    "audio": ([], [{}, False]),
    "moderation": ([], [{"model": "m"}]),
    "web_search_options": ([], [{}]),
    "best_of": ([1], [3]),
    "min_tokens": ([0], [4]),
    "skip_special_tokens": ([True], [False]),
    "chat_template_kwargs": ([{}, {"enable_thinking": False}], [{"enable_thinking": True}]),
}
HINTS = [
    "ignore_eos",
    "store",
    "user",
    "metadata",
    "service_tier",
    "parallel_tool_calls",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "verbosity",
    "prediction",
]


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize("field", ONLY)
def test_a_field_is_taken_and_named_only_with_the_value_that_changes_nothing(
    model: type[ChatRequest], field: str
) -> None:
    taken, refused = ONLY[field]
    for value in taken:
        assert ignored(model, **{field: value}) == [field]
    assert ignored(model, **{field: None}) == []
    for value in refused:
        where, why = refusal(model, **{field: value})
        assert where == field
        assert why.startswith(f"'{field}' with this value would change the answer, and is not supported here: leave it")


def test_a_refusal_says_what_may_be_sent_in_json() -> None:
    assert refusal(QwenVLChat, tool_choice="required")[1].endswith('leave it out, or send "none", or send "auto"')
    assert refusal(QwenVLChat, echo=True)[1].endswith("leave it out, or send false")
    assert refusal(QwenVLChat, audio={"voice": "ash"})[1].endswith("is not supported here: leave it out")


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize("field", HINTS)
def test_what_has_no_effect_is_taken_as_it_is_and_named(model: type[ChatRequest], field: str) -> None:
    for value in ("somebody", {"a": None}, True, [1]):
        assert ignored(model, **{field: value}) == [field]
    assert ignored(model, **{field: None}) == []


@pytest.mark.parametrize(("field", "neutral", "other"), [("top_k", -1, 40), ("min_p", 0.0, 0.1), ("typical_p", 1, 0.9)])
def test_sampling_is_taken_where_decoding_is_greedy(field: str, neutral: float, other: float) -> None:
    for model, fields in ((MatchaChat, {"temperature": 0.7}), (QwenVLChat, {}), (QwenVLChat, {"temperature": 0.0})):
        assert ignored(model, **{field: other}, **fields)[0] == field
    assert ignored(QwenVLChat, **{field: neutral}, temperature=0.7) == [field]
    assert refusal(QwenVLChat, **{field: other}, temperature=0.7)[0] == field


def test_matcha_names_what_sampling_would_need_and_gives_no_scores() -> None:
    assert ignored(MatchaChat, temperature=0.7, top_p=0.3, seed=0) == ["temperature", "top_p", "seed"]
    assert ignored(MatchaChat, temperature=0, logprobs=False, top_logprobs=0) == [], "it does just that"
    assert ignored(QwenVLChat, temperature=0.7, top_p=0.3, seed=0) == []
    for field, value in {"logprobs": True, "top_logprobs": 1, "lens": {}, "min_pixels": 784}.items():
        assert refusal(MatchaChat, **{field: value})[0] == field


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 2.1),
        ("temperature", -1),
        ("temperature", "hot"),
        ("top_p", 0),
        ("top_logprobs", 21),
        ("top_logprobs", 3),
        ("stop", 5),
        ("seed", 2**64),
        ("max_tokens", 0),
        ("model", 5),
        ("stream", "yes"),
    ],
)
def test_both_services_refuse_what_is_out_of_bounds(model: type[ChatRequest], field: str, value: object) -> None:
    where, why = refusal(model, **{field: value})
    assert (where, why.split()[0]) == (field, f"'{field}'")


@pytest.mark.parametrize(
    "null", ["stop", "seed", "stream", "stream_options", "max_tokens", "model", "logprobs", "lens"]
)
def test_null_is_as_good_as_nothing(null: str) -> None:
    assert read(QwenVLChat, **{null: None}) == read(QwenVLChat)


@pytest.mark.parametrize(
    ("model", "field"), [(QwenVLChat, "guided_json"), (MatchaChat, "lens"), (QwenVLChat, "max_patches")]
)
def test_an_unknown_field_is_refused(model: type[ChatRequest], field: str) -> None:
    where, why = refusal(model, **{field: 3})
    assert (where, why) == (
        field,
        f"'{field}' is not a field of this request: leave it out, or see /docs for the fields",
    )
    assert ignored(model, **{field: None}) == []


def test_a_name_that_is_no_text_or_too_long_is_shown_as_far_as_it_can_be() -> None:
    where, why = refusal(QwenVLChat, **{"\ud800" + "x" * 10_000: 1})
    assert where == "?" + "x" * 199
    assert why.encode()
    turns = [turn(b"chart", "?"), {"role": "assistant", "content": "3", "\ud800": 1}]
    assert ignored(QwenVLChat, messages=turns) == ["messages.1.?"]


def test_stop_is_one_string_or_a_few() -> None:
    assert read(QwenVLChat, stop="end").stop == ["end"]
    assert read(QwenVLChat, stop=["c", "b", "a", "b"]).stop == ["c", "b", "a", "b"]
    assert read(QwenVLChat, stop=[]).stop == []
    assert read(QwenVLChat, stop="x" * 64).stop == ["x" * 64]
    for where, bad in {"stop": list("abcde"), "stop ": "x" * 65, "stop  ": 5, "stop.1": ["a", ""]}.items():
        assert refusal(QwenVLChat, stop=bad)[0] == where.strip()


@pytest.mark.parametrize(("both", "expected"), [((3, None), 3), ((None, 5), 5), ((3, 5), 5), ((None, None), None)])
def test_the_newer_of_openais_two_names_for_the_longest_answer_counts(both: Any, expected: int | None) -> None:
    assert read(QwenVLChat, max_tokens=both[0], max_completion_tokens=both[1]).max_answer_tokens == expected


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_more_tokens_than_a_server_gives_are_as_many_as_it_gives(name: str) -> None:
    for wanted, given in {
        MAX_NEW_TOKENS - 1: MAX_NEW_TOKENS - 1,
        MAX_NEW_TOKENS + 1: MAX_NEW_TOKENS,
        10**9: 512,
    }.items():
        assert read(QwenVLChat, **{name: wanted}).max_answer_tokens == given
        assert read(MatchaChat, **{name: wanted}).last_question().max_new_tokens == given


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


def test_options_of_a_stream_are_taken_one_by_one() -> None:
    options = {"include_usage": None, "include_obfuscation": False, "continuous_usage_stats": True}
    named = ["stream_options.include_obfuscation", "stream_options.continuous_usage_stats"]
    assert ignored(QwenVLChat, stream=True, stream_options=options) == named
    assert ignored(QwenVLChat, stream_options={"include_usage": True}) == ["stream_options"], "there is no stream"
    assert refusal(QwenVLChat, stream=True, stream_options={"every": 3})[0] == "stream_options.every"
    assert refusal(QwenVLChat, stream=True, stream_options=[])[0] == "stream_options"


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
def test_top_logprobs_go_with_logprobs(model: type[ChatRequest]) -> None:
    for fields in ({"top_logprobs": 3}, {"top_logprobs": 3, "logprobs": False}):
        assert refusal(model, **fields) == ("top_logprobs", "'top_logprobs' needs 'logprobs': true")
    assert ignored(model, top_logprobs=0) == []


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
        assert (where, why) == ("messages", "'messages' has 17 images, at most 16 are allowed: leave out old turns")


@pytest.mark.parametrize(("first", "second"), [(32_000, 0), (17_000, 15_000), (17_000, 15_001), (1, 32_000)])
def test_characters_are_counted_in_all_messages_together(first: int, second: int) -> None:
    messages = [turn("a" * first), turn("b" * second)]
    if first + second <= 32_000:
        assert [len(message.text) for message in read(QwenVLChat, messages=messages).messages] == [first, second]
    else:
        why = "'messages' has 32001 characters of text, at most 32000 are allowed: leave out old turns"
        assert refusal(QwenVLChat, messages=messages) == ("messages", why)


def test_a_text_has_a_bound_of_its_own() -> None:
    assert refusal(QwenVLChat, messages=[turn("a" * 32_001)])[0] == "messages.0.content.0.text"
    assert refusal(QwenVLChat, messages=[{"role": "user", "content": "a" * 32_001}]) == (
        "messages.0.content",
        "'messages.0.content' has more than 32000 characters, which is the most",
    )


def test_a_message_gives_its_texts_and_its_images_in_order() -> None:
    mixed = turn("one", b"first", "two", b"second", "three")
    (message,) = read(QwenVLChat, messages=[mixed]).messages
    assert (message.text, message.images) == ("one\ntwo\nthree", [b"first", b"second"])
    (plain,) = read(QwenVLChat, messages=[{"role": "user", "content": "How many?"}]).messages
    assert (plain.text, plain.images) == ("How many?", [])


EXTRAS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "of openai": (
        {"content": "3", "refusal": None, "tool_calls": None, "audio": None, "function_call": None, "annotations": []},
        "3",
        ["annotations"],
    ),
    "of other servers": (
        {"content": "3", "tool_calls": [], "reasoning_content": "hm", "id": "7", "name": "it", "audio": {"id": "a"}},
        "3",
        ["tool_calls", "reasoning_content", "id", "name", "audio"],
    ),
    "no content": ({}, "", []),
    "content of null": ({"content": None, "tool_calls": None}, "", []),
    "an empty list": ({"content": []}, "", []),
    "a refusal": ({"content": None, "refusal": "I cannot."}, "I cannot.", []),
    "a part that refuses": ({"content": [{"type": "refusal", "refusal": "No."}]}, "No.", []),
    "a part with extras": (
        {"content": [{"type": "text", "text": "3", "annotations": [], "id": None}]},
        "3",
        ["content.0.annotations"],
    ),
}


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize(("extra", "text", "named"), EXTRAS.values(), ids=EXTRAS.keys())
def test_an_answer_may_come_back_as_a_turn(
    model: type[ChatRequest], extra: dict[str, Any], text: str, named: list[str]
) -> None:
    messages = [turn(b"chart", "a"), {"role": "assistant", **extra}, turn("b")]
    assert read(model, messages=messages).messages[1].text == text
    assert [name for name in ignored(model, messages=messages) if name != "messages.1"] == [
        f"messages.1.{name}" for name in named
    ]


TURNS: dict[str, tuple[Any, str, str]] = {
    "calls": ({"role": "assistant", "content": None, "tool_calls": [{}]}, "tool_calls", "is not read here, and the"),
    "a call": ({"role": "assistant", "function_call": {"name": "f"}}, "function_call", "is not read here, and the"),
    "images in a place of their own": ({"role": "user", "content": "a", "images": ["QUJD"]}, "images", "is not read"),
    "no content": ({"role": "user"}, "content", "is missing"),
    "content of null": ({"role": "user", "content": None}, "content", "is missing"),
    "a number": ({"role": "user", "content": 5}, "content", "must be text or a list"),
    "no role": ({"content": "a"}, "role", "is missing"),
    "a tool": (
        {"role": "tool", "content": "a", "tool_call_id": "7"},
        "role",
        "must be 'system', 'developer', 'user' or",
    ),
    "no part": ({"role": "user", "content": ["a"]}, "content.0", "must be an object"),
    "a part without type": ({"role": "user", "content": [{"text": "a"}]}, "content.0.type", "is missing"),
    "a file": (
        {"role": "user", "content": [{"type": "file", "file": {}}]},
        "content.0.type",
        "must be 'text' or 'image_url'",
    ),
    "a part without text": ({"role": "user", "content": [{"type": "text"}]}, "content.0.text", "is missing"),
    "text and more": (
        {"role": "user", "content": [{"type": "text", "text": "a", "more": 1}]},
        "content.0.more",
        "is not a field of this request, see /docs",
    ),
    "half a character": ({"role": "user", "content": "\ud800"}, "content", "has a character that is half of a pair"),
}


@pytest.mark.parametrize("model", [QwenVLChat, MatchaChat])
@pytest.mark.parametrize(("message", "where", "why"), TURNS.values(), ids=TURNS.keys())
def test_an_error_in_a_turn_names_the_field_as_it_was_written(
    model: type[ChatRequest], message: Any, where: str, why: str
) -> None:
    name, said = refusal(model, messages=[turn(b"chart", "?"), message])
    assert name == f"messages.1.{where}"
    assert said.startswith(f"'{name}' {why}")
    assert not {"Input", "Message", "dictionary", "instance"} & set(said.split())


def test_messages_are_a_list_of_objects() -> None:
    assert refusal(QwenVLChat, messages=["How many?"]) == ("messages.0", "'messages.0' must be an object")
    assert refusal(QwenVLChat, messages="How many?") == ("messages", "'messages' must be a list")
    assert refusal(QwenVLChat, messages=None) == ("messages", "'messages' is missing")


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool", "function", ""])
def test_roles(role: str) -> None:
    messages = [turn("a", role=role)]
    if role in {"system", "developer", "user", "assistant"}:
        assert read(QwenVLChat, messages=messages).messages[0].role == role
    else:
        assert refusal(QwenVLChat, messages=messages)[0] == "messages.0.role"


def test_an_image_is_a_data_url_with_hints_that_have_no_effect() -> None:
    url = f"data:image/png;base64,{base64.b64encode(b'chart').decode()}"
    assert read(QwenVLChat, messages=[image(url, detail=None)]).images == [b"chart"]
    assert ignored(QwenVLChat, messages=[{**image(url, detail=None), "name": "J."}]) == ["messages.0.name"]
    for hint in ("low", "high", "auto", "original", "best", 3):
        assert read(QwenVLChat, messages=[image(url, detail=hint)]).images == [b"chart"]
        assert ignored(QwenVLChat, messages=[image(url, detail=hint)]) == ["messages.0.content.0.image_url.detail"]
    bare = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
    assert read(QwenVLChat, messages=[bare]).images == [b"chart"]
    for bad in ("http://a.b/c", "https://a.b/c", "data:image/png,abc", "!", None, 5):
        assert refusal(QwenVLChat, messages=[image(bad)])[0] == "messages.0.content.0.image_url.url"


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


def test_matcha_names_the_turns_that_it_does_not_read() -> None:
    messages = [turn("Be brief.", role="system"), turn(b"chart", "?"), turn("3", role="assistant"), turn("And now?")]
    assert ignored(MatchaChat, messages=messages) == ["messages.0", "messages.2"]
    assert ignored(QwenVLChat, messages=messages) == []


def test_matchas_question_is_as_long_as_of_its_other_route() -> None:
    longest = read(MatchaChat, messages=[turn(b"chart", "q" * 2000)]).last_question()
    assert longest.model_dump()["question"] == "q" * 2000
    assert refusal(MatchaChat, messages=[turn(b"chart", "q" * 2001)]) == (
        "messages.0.content",
        "the question has 2001 characters, at most 2000 are allowed",
    )


def test_what_the_engine_calls_image_is_named_as_the_client_wrote_it() -> None:
    messages = [turn(b"old", role="system"), turn("Look:", b"chart"), turn("Which?")]
    asked = read(MatchaChat, messages=messages)
    names = {name: asked.name_of(name) for name in ("image", "question", "max_patches", None)}
    assert names == {
        "image": "messages.1.content.1.image_url",
        "question": "messages.2.content",
        "max_patches": "max_patches",
        None: None,
    }
    qwen = read(QwenVLChat, messages=messages)
    assert (qwen.name_of("image"), qwen.name_of("lens.track")) == ("messages", "lens.track")
    places = ["messages.0.content.0.image_url", "messages.1.content.1.image_url"]
    assert qwen.named_images == list(zip(places, [b"old", b"chart"], strict=True))
