"""The question that MatCha reads from a conversation."""

import base64
from typing import Any

import pytest

from services.wire.answer import MAX_QUESTION_CHARACTERS, MatchaRequest
from services.wire.chat import MatchaChat
from services.wire.errors import InvalidRequestError


def image(name: str) -> dict[str, Any]:
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(name.encode()).decode()}"},
    }


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def turn(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


def asked(*messages: dict[str, Any], **fields: Any) -> MatchaRequest:
    return MatchaChat.model_validate({"messages": list(messages), **fields}).last_question()


FIRST = turn("user", image("first"), text("What is the first?"))
LAST = turn("user", text("What is"), image("last"), text("the last?"))


@pytest.mark.parametrize(
    "turns",
    [
        (LAST,),
        (FIRST, LAST),
        (turn("system", text("Be brief.")), FIRST, turn("assistant", text("One.")), FIRST, LAST),
        (FIRST, LAST, turn("assistant", text("Two."))),
        (turn("user", text("No image.")), LAST, turn("system", text("Be brief."))),
        (turn("user", image("a"), image("b")), LAST),
    ],
)
def test_the_last_user_message_is_the_question(turns: tuple[dict[str, Any], ...]) -> None:
    request = asked(*turns)
    assert (request.image, request.question) == (b"last", "What is\nthe last?")


IMAGE = turn("user", image("last"))
QUESTION = turn("user", text("And"), text("what is that?"))
ANSWER = turn("assistant", text("One."))


@pytest.mark.parametrize(
    "turns",
    [
        (FIRST, ANSWER, LAST, ANSWER, QUESTION),
        (FIRST, ANSWER, IMAGE, QUESTION),
        (FIRST, ANSWER, QUESTION, IMAGE),
        (turn("system", image("last"), text("Ask about this.")), turn("user", text("?")), QUESTION),
        (IMAGE, turn("user", text("Which?")), ANSWER, turn("system", text("Be brief.")), QUESTION, ANSWER),
    ],
    ids=["a second one", "after it", "before it", "of a system turn", "before an answer begun"],
)
def test_a_question_in_text_is_about_the_last_image(turns: tuple[dict[str, Any], ...]) -> None:
    request = asked(*turns)
    assert (request.image, request.question) == (b"last", "And\nwhat is that?")


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ((turn("user", text("No image?")),), "one image to ask about, and it has none"),
        ((FIRST, ANSWER, turn("user", image("no question"))), "end with a question"),
        ((FIRST, ANSWER, turn("user", image("a blank one"), text(" \n"))), "end with a question"),
        ((FIRST, turn("user", image("two"), image("images"), text("Which?"))), "with images has 2"),
        ((turn("user", image("two"), image("images"), text("?")), ANSWER, QUESTION), "with images has 2"),
        ((turn("assistant", image("a"), text("b")),), "end with a question"),
    ],
)
def test_what_is_no_question_about_one_image_is_refused(turns: tuple[dict[str, Any], ...], why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        asked(*turns)
    assert caught.value.param == "messages"


def test_a_question_may_be_as_long_as_the_bound() -> None:
    def long(characters: int) -> dict[str, Any]:
        return turn("user", image("a"), text("x" * characters))

    assert len(asked(long(MAX_QUESTION_CHARACTERS)).question) == MAX_QUESTION_CHARACTERS == 2000
    with pytest.raises(InvalidRequestError, match="has 2001 characters, at most 2000"):
        asked(FIRST, long(MAX_QUESTION_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("fields", "tokens", "patches"),
    [
        ({}, None, None),
        ({"max_tokens": 7, "max_patches": 33}, 7, 33),
        ({"max_completion_tokens": 8}, 8, None),
        ({"max_tokens": 7, "max_completion_tokens": 8}, 8, None),
    ],
)
def test_how_much_to_spend_is_passed_on(fields: dict[str, int], tokens: int | None, patches: int | None) -> None:
    request = asked(LAST, **fields)
    assert (request.max_new_tokens, request.max_patches) == (tokens, patches)
