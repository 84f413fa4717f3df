"""A body is read within its limit, however it is chunked, and an error names the field it is about."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import create_model

from services.common.http.body import read_request
from services.common.http.content_encoding import bounded
from services.wire.answer import MatchaRequest, QwenVLRequest
from services.wire.chat import QwenVLChat
from services.wire.contract import WireRequest
from services.wire.errors import (
    InvalidRequestError,
    MalformedError,
    ServiceError,
    TooLargeError,
    UnsupportedEncodingError,
)

JSON = "application/json"
FORM = "multipart/form-data; boundary=cut"
MANY = 1 << 20


class Arriving:
    """A request whose body arrives in the given chunks; counts those that were read."""

    def __init__(self, pieces: list[bytes], content_type: str | None = JSON, **headers: str) -> None:
        self.taken = 0
        self._pieces = iter(pieces)
        self._left = len(pieces)
        named = {**headers, **({} if content_type is None else {"content-type": content_type})}
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
        self.request = Request({"type": "http", "method": "POST", "headers": raw}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        self.taken += 1
        self._left -= 1
        return {"type": "http.request", "body": next(self._pieces, b""), "more_body": self._left > 0}


def read(
    model: type[WireRequest], *pieces: bytes, content_type: str | None = JSON, max_bytes: int = MANY, **headers: str
) -> WireRequest:
    return asyncio.run(read_request(Arriving(list(pieces), content_type, **headers).request, model, max_bytes)).asked


def form(*fields: tuple[str, str | bytes]) -> bytes:
    """A multipart body; values of type bytes are files."""
    parts = b""
    for name, value in fields:
        file = b'; filename="a.png"' if isinstance(value, bytes) else b""
        content = value if isinstance(value, bytes) else value.encode()
        parts += b'--cut\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name.encode(), file, content)
    return parts + b"--cut--\r\n"


def refused(model: type[WireRequest], fields: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read(model, json.dumps(fields).encode())
    return caught.value


BODY = json.dumps({"image": "QUJD", "question": "How many bars?"}).encode()


@given(st.lists(st.integers(0, len(BODY)), max_size=8), st.integers(-2, 2))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_bound_counts_all_bytes_in_whatever_pieces_they_come(cuts: list[int], spare: int) -> None:
    ends = [0, *sorted(cuts), len(BODY)]
    pieces = [BODY[start:end] for start, end in pairwise(ends)]
    if spare < 0:
        with pytest.raises(TooLargeError, match=f"larger than {len(BODY) + spare} bytes"):
            read(MatchaRequest, *pieces, max_bytes=len(BODY) + spare)
    else:
        asked = read(MatchaRequest, *pieces, max_bytes=len(BODY) + spare)
        assert asked == MatchaRequest(image=b"ABC", question="How many bars?")


@pytest.mark.parametrize("content_type", [JSON, FORM])
def test_what_is_too_large_is_not_read_to_its_end(content_type: str) -> None:
    start = b"" if content_type == JSON else form(("image", b""))[: -len("\r\n--cut--\r\n")]
    arriving = Arriving([start, *[b" " * 400] * 9], content_type)
    with pytest.raises(TooLargeError):
        asyncio.run(read_request(arriving.request, MatchaRequest, 1000))
    assert arriving.taken == 1 + 3


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_the_bound_of_a_form_counts_its_boundaries_too(spare: int) -> None:
    body = form(("image", b"ABC"), ("question", "How many?"))
    pieces = [body[:50], body[50:]]
    if spare < 0:
        with pytest.raises(TooLargeError):
            read(MatchaRequest, *pieces, content_type=FORM, max_bytes=len(body) + spare)
    else:
        read(MatchaRequest, *pieces, content_type=FORM, max_bytes=len(body) + spare)


@pytest.mark.parametrize("said", ["1", "100000000"])
def test_what_content_length_says_does_not_count(said: str) -> None:
    asked = read(MatchaRequest, BODY, max_bytes=len(BODY), content_length=said)
    assert asked.model_dump()["image"] == b"ABC"
    with pytest.raises(TooLargeError):
        read(MatchaRequest, BODY, max_bytes=len(BODY) - 1, content_length=said)


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "text/plain", "", None])
def test_what_is_no_form_is_read_as_json(content_type: str | None) -> None:
    assert read(MatchaRequest, BODY, content_type=content_type).model_dump()["question"] == "How many bars?"


@pytest.mark.parametrize(
    "content_type", [FORM, "Multipart/Form-Data; Boundary=cut", 'multipart/form-data; boundary="cut"']
)
def test_a_form_is_detected_by_its_content_type_in_any_case(content_type: str) -> None:
    fields: list[tuple[str, str | bytes]] = [
        ("image", b"\x89PNG"),
        ("question", "How many?"),
        ("max_new_tokens", "7"),
        ("lens", '{"top_k": 3}'),
    ]
    asked = read(QwenVLRequest, form(*fields), content_type=content_type)
    assert isinstance(asked, QwenVLRequest)
    assert (asked.image, asked.question, asked.max_new_tokens) == (b"\x89PNG", "How many?", 7)
    assert asked.lens is not None
    assert asked.lens.top_k == 3


def test_an_image_in_a_form_may_be_text_in_base64() -> None:
    asked = read(MatchaRequest, form(("image", "QUJD"), ("question", "How many?")), content_type=FORM)
    assert asked == MatchaRequest(image=b"ABC", question="How many?")


def test_a_file_too_large_for_memory_arrives_whole() -> None:
    data = bytes(range(251)) * 4400  # more than the 1 MiB above which it is stored on disk
    body = form(("image", data), ("question", "How many?"))
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]
    asked = read(MatchaRequest, *pieces, content_type=FORM, max_bytes=len(body))
    assert asked.model_dump()["image"] == data


def test_a_field_that_comes_twice_is_refused_by_name() -> None:
    for twice, content_type in (
        (form(("image", b"A"), ("question", "one?"), ("question", "two?")), FORM),
        (b'{"image": "QQ==", "question": "one?", "question": "two?"}', JSON),
        (b'{"image": "QQ==", "question": {"a": 1, "question": 1, "question": 2}}', JSON),
    ):
        with pytest.raises(MalformedError, match="has the field 'question' twice"):
            read(MatchaRequest, twice, content_type=content_type)


def metadata(value: str) -> bytes:
    """A chat request with a field that may hold anything."""
    return b'{"messages": [{"role": "user", "content": "a"}], "metadata": %s}' % value.encode()


BOUNDS: dict[str, tuple[str, str, str]] = {  # the most that is read, and one more
    "levels": (
        "[" * 63 + "]" * 63,
        "[" * 64 + "]" * 64,
        "the body is nested more than 64 levels deep, which is the most",
    ),
    "levels of objects": (
        '{"a": ' * 63 + "1" + "}" * 63,
        '{"a": ' * 64 + "1" + "}" * 64,
        "the body is nested more than 64",
    ),
    "far more levels": ("1", "[" * 20_000 + "]" * 20_000, "the body is nested more than 64 levels deep"),
    "values": (f"[{'0,' * 99_994}0]", f"[{'0,' * 99_995}0]", "the body has more than 100000 commas and brackets"),
    "digits": ("9" * 400, "9" * 401, "the body has a number of 401 digits, at most 400 are read"),
    "far more digits": ("1", "9" * 5000, "the body has a number of 5000 digits"),
    "a large number": ("1e308", "1e999999", "the body has the number 1e999999, which is too large"),
    "a small number": ("-1e308", "-1e309", "the body has the number -1e309, which is too large"),
}


@pytest.mark.parametrize(("most", "more", "reason"), BOUNDS.values(), ids=BOUNDS.keys())
def test_json_is_read_up_to_its_bounds(most: str, more: str, reason: str) -> None:
    assert isinstance(read(QwenVLChat, metadata(most)), QwenVLChat)
    with pytest.raises(MalformedError) as caught:
        read(QwenVLChat, metadata(more))
    assert caught.value.message.startswith(reason)
    assert caught.value.status == 400


def test_too_many_values_are_refused_before_they_are_built() -> None:
    body = metadata(f"[{'{},' * 2_000_000}0]")
    tracemalloc.start()
    with pytest.raises(MalformedError):
        read(QwenVLChat, body, max_bytes=len(body))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(body), "an object takes 64 bytes, and is three in the body"


QUOTED = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=40)


@given(QUOTED.filter(str.strip), st.binary(max_size=60).filter(lambda data: b"--cut" not in data), st.integers(1, 200))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_form_carries_any_text_and_any_bytes(question: str, image: bytes, size: int) -> None:
    body = form(("image", image), ("question", question), ("max_patches", str(size)))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    asked = read(MatchaRequest, *pieces, content_type=FORM)
    assert asked == MatchaRequest(image=image, question=question, max_patches=size)


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "no boundary": ("multipart/form-data", form(("image", b"A")), "form cannot be read"),
    "no form": (FORM, b"How many?", "form cannot be read"),
    "a field without a name": (FORM, form(("", "x")).replace(b'; name=""', b""), "form cannot be read"),
    "two files": (FORM, form(("image", b"A"), ("image", b"B")), "Too many files"),
    "17 fields": (FORM, form(*[(f"field{at}", "x") for at in range(17)]), "Too many fields"),
    "half of JSON": (JSON, BODY[:-1], "the body is not JSON"),
    "JSON of UTF-16": (JSON, b"\xff\xfe{\x00", "the body is not JSON"),
    "nothing": (JSON, b"", "send JSON, or a multipart form with a file 'image'"),
    "100,000 brackets": (JSON, b"[" * 100_000, "the body is nested more than 64 levels deep"),
    "a list": (JSON, b"[1]", "must be a JSON object with image and question"),
    "null": (JSON, b"null", "must be a JSON object with image and question"),
}


@pytest.mark.parametrize(("content_type", "body", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_malformed(content_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(MatchaRequest, body, content_type=content_type)
    assert reason in caught.value.message
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "malformed_request", None)


def test_16_fields_are_few_enough_to_be_read_one_by_one() -> None:
    fields: list[tuple[str, str | bytes]] = [("image", b"A"), *[(f"field{at}", "x") for at in range(16)]]
    with pytest.raises(InvalidRequestError) as caught:
        read(MatchaRequest, form(*fields), content_type=FORM)
    assert caught.value.param == "question"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "must be encoded as JSON in a form"),
        ("", "must be encoded as JSON"),
        ("[" * 100_000, "is nested more than"),
    ],
    ids=["half", "empty", "deep"],
)
def test_a_lens_in_a_form_that_is_no_json_is_named(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"'lens' {reason}") as caught:
        read(QwenVLRequest, form(("image", b"A"), ("question", "?"), ("lens", text)), content_type=FORM)
    assert (caught.value.status, caught.value.param) == (422, "lens")


def test_a_conversation_as_a_form_is_rejected() -> None:
    with pytest.raises(MalformedError, match="not JSON"):
        read(QwenVLChat, form(("messages", "[]")), content_type=FORM)
    assert isinstance(
        read(QwenVLChat, b'{"messages": [{"role": "user", "content": "a"}]}', content_type=FORM), QwenVLChat
    )


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "the image": ({"question": "?"}, "image", "'image' is missing"),
    "the question": ({"image": "QQ=="}, "question", "'question' is missing"),
    "both": ({}, "image", "'image' is missing"),
    "an unknown one": (
        {"image": "QQ==", "question": "?", "top_k": 1},
        "top_k",
        (
            "'top_k' is not a field of this request; "
            "the fields are image, question, max_new_tokens, timeout_s, max_patches"
        ),
    ),
    "a number as text": (
        {"image": "QQ==", "question": "?", "max_patches": "7"},
        "max_patches",
        "'max_patches' must be a whole number",
    ),
    "a remote one": (
        {"image": "https://a.b/c", "question": "?"},
        "image",
        "'image' is a URL, and images are not fetched from URLs: send the bytes in base64, or as a data URL",
    ),
}


@pytest.mark.parametrize(("fields", "param", "message"), WRONG.values(), ids=WRONG.keys())
def test_the_first_wrong_field_is_named(fields: dict[str, Any], param: str, message: str) -> None:
    error = refused(MatchaRequest, fields)
    assert isinstance(error, InvalidRequestError)
    assert (error.status, error.code, error.param, error.message) == (422, "invalid_value", param, message)


@pytest.mark.parametrize("count", [12, 13])
def test_a_list_of_twelve_fields_is_the_longest_that_is_reported(count: int) -> None:
    fields: dict[str, Any] = {f"field{at}": (int | None, None) for at in range(count)}
    message = refused(create_model("Wide", __base__=WireRequest, **fields), {"other": 1}).message
    assert message == (
        f"'other' is not a field of this request; the fields are {', '.join(fields)}"
        if count == 12
        else "'other' is not a field of this request, see /docs"
    )


def test_a_name_that_is_no_text_is_shown_as_far_as_it_can_be() -> None:
    error = refused(MatchaRequest, {"image": "QQ==", "question": "?", "\ud800" + "x" * 300: 1})
    assert error.param == "?" + "x" * 199
    assert error.message.encode().startswith(b"'?xxx")
    assert refused(QwenVLRequest, {"image": "QQ==", "question": "?", "lens": {"\ud800": 1}}).param == "lens.?"


def test_a_long_list_of_fields_is_not_reported() -> None:
    error = refused(QwenVLChat, {"messages": [{"role": "user", "content": "a"}], "best": 2})
    message = "'best' is not a field of this request: leave it out, or see /docs for the fields"
    assert (error.param, error.message) == ("best", message)


def test_a_field_inside_another_is_named_with_its_way() -> None:
    lens = refused(QwenVLRequest, {"image": "QQ==", "question": "?", "lens": {"layer": 3}})
    assert lens.param == "lens.layer"
    top_k = refused(QwenVLRequest, {"image": "QQ==", "question": "?", "lens": {"top_k": None}})
    assert (top_k.param, top_k.message) == ("lens.top_k", "'lens.top_k' must be a whole number")
    assert "fields are" not in lens.message, "those of the request are not those of the lens"
    role = refused(QwenVLChat, {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]})
    assert role.param == "messages.1.role"


def test_a_check_of_several_fields_names_the_one_to_change() -> None:
    error = refused(QwenVLChat, {"messages": [{"role": "user", "content": "a"}], "top_logprobs": 1})
    assert (error.param, error.message) == ("top_logprobs", "'top_logprobs' needs 'logprobs': true")


def test_a_field_of_null_is_a_field_left_out() -> None:
    nulls = dict.fromkeys(["lens", "max_patches", "max_new_tokens", "top_k"])
    assert read(MatchaRequest, json.dumps({"image": "QQ==", "question": "?", **nulls}).encode()) == MatchaRequest(
        image=b"A", question="?"
    )


def bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[:9]) + gzip.compress(data[9:])


ENCODINGS: dict[str, tuple[str, Any]] = {
    "gzip": ("gzip", gzip.compress),
    "in capitals": ("GZip", gzip.compress),
    "its old name": ("x-gzip", gzip.compress),
    "two members": ("gzip", two_members),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "none": ("identity", bytes),
    "one after the other": ("deflate , gzip", lambda data: gzip.compress(zlib.compress(data))),
}


@pytest.mark.parametrize(("name", "encode"), ENCODINGS.values(), ids=ENCODINGS.keys())
def test_an_encoded_body_is_decoded_within_the_same_bound(name: str, encode: Any) -> None:
    body = encode(BODY)
    for size in (1, 7, len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        asked = read(MatchaRequest, *pieces, content_encoding=name, max_bytes=max(len(BODY), len(body)))
        assert asked == MatchaRequest(image=b"ABC", question="How many bars?")
    with pytest.raises(TooLargeError):
        read(MatchaRequest, body, content_encoding=name, max_bytes=len(BODY) - 1)
    image = form(("image", b"ABC"), ("question", "How many bars?"))
    asked = read(MatchaRequest, encode(image), content_type=FORM, content_encoding=name)
    assert asked == MatchaRequest(image=b"ABC", question="How many bars?")


def test_a_bomb_is_read_no_further_than_the_bound() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    arriving = Arriving([bomb[at : at + 100] for at in range(0, len(bomb), 100)], content_encoding="gzip")
    with pytest.raises(TooLargeError, match="larger than 1000000 bytes"):
        asyncio.run(read_request(arriving.request, MatchaRequest, 1_000_000))
    assert arriving.taken < 20, "a hundred bytes are some 100,000"


def test_a_bomb_in_one_piece_is_never_whole_in_memory() -> None:
    async def sizes() -> list[int]:
        async def bomb() -> AsyncIterator[bytes]:
            yield gzip.compress(b" " * 1_000_000)

        return [len(piece) async for piece in bounded(bomb(), "gzip", 2_000_000)]

    decoded = asyncio.run(sizes())
    assert (sum(decoded), max(decoded) <= 1 << 16) == (1_000_000, True)


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, br", "compress"])
def test_another_encoding_is_named(name: str) -> None:
    with pytest.raises(UnsupportedEncodingError, match="which is not read: send gzip, deflate or neither") as caught:
        read(MatchaRequest, BODY, content_encoding=name)
    assert (caught.value.status, caught.value.message.split("'")[1]) == (415, name.rpartition(", ")[2])
    with pytest.raises(UnsupportedEncodingError, match="5000 encodings, at most 3"):
        read(MatchaRequest, BODY, content_encoding=",".join(["gzip"] * 5000))


@pytest.mark.parametrize(
    ("body", "why"),
    [(BODY, "is not gzip"), (gzip.compress(BODY)[:-9], "breaks off"), (b"", "breaks off"), (b"\x1f", "breaks off")],
    ids=["plain", "cut", "empty", "a byte"],  # not the bytes, which hold the time
)
def test_a_body_that_is_not_what_its_encoding_says_is_malformed(body: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        read(MatchaRequest, body, content_encoding="gzip")


def test_a_file_without_a_name_is_said_to_be_one() -> None:
    body = form(("image", b"\x89PNG\r\n"), ("question", "?")).replace(b'; filename="a.png"', b"")
    with pytest.raises(InvalidRequestError, match="'image' has no file name in this form") as caught:
        read(MatchaRequest, body, content_type=FORM)
    assert caught.value.param == "image"
    assert caught.value.message.endswith('give it a name, such as filename="image.png"')


def test_an_image_as_text_in_a_form_may_be_as_long_as_a_body() -> None:
    text = "QUJD" * 300_000  # more than the 1 MiB that Starlette allows a field by itself
    asked = read(MatchaRequest, form(("image", text), ("question", "?")), content_type=FORM, max_bytes=2 << 20)
    assert asked.model_dump()["image"] == b"ABC" * 300_000


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_malformed(constant: str) -> None:
    body = b'{"messages": [{"role": "user", "content": "a"}], "temperature": %s}' % constant.encode()
    with pytest.raises(MalformedError, match=f"{constant} is not a number in JSON\\): send JSON$"):
        read(QwenVLChat, body)
