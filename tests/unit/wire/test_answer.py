"""The bounds of a question on ``/v1/answer``, and what clients can rely on in the response."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.wire.answer import AnswerRequest, AnswerResponse, MatchaRequest, ModelCard, QwenVLRequest
from services.wire.errors import InvalidRequestError, PromptTooLongError, envelope
from services.wire.lens import LensRequest, TrackedProb
from services.wire.reading import read
from tests.unit.common.http.serving import response


def refusal(model: type[AnswerRequest] | type[LensRequest], **fields: Any) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields, strict=True)
    first = caught.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"]


@given(st.binary(max_size=40), st.sampled_from(["", "data:image/png;base64,", "data:;base64,", "data:a;b=c;base64,"]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_image_comes_as_it_was_sent(data: bytes, head: str) -> None:
    text = head + base64.b64encode(data).decode()
    assert AnswerRequest.model_validate({"image": text, "question": "?"}, strict=True).image == data
    assert AnswerRequest.model_validate({"image": data, "question": "?"}).image == data


@pytest.mark.parametrize(
    "text",
    [
        "iVBORw0KGgo=",
        "iVBORw0KGgo",
        " iVBO\r\nRw0K\r\nGgo=\r\n",
        "\tiVBO Rw0K\fGgo = ".replace(" = ", "="),
        "data:image/png;base64,iVBORw0KGgo=",
        "DATA:IMAGE/PNG;BASE64,iVBORw0KGgo",
        "data:image/png; base64,iVBO\nRw0KGgo=",
        " data:;base64, iVBO%0ARw0KGgo%3D\n",
        "iVBORw0KGgp",  # its last bits, which hold no byte, are dropped
    ],
)
def test_base64_is_read_as_browsers_and_command_lines_write_it(text: str) -> None:
    """The eight bytes at the start of every PNG."""
    asked = AnswerRequest.model_validate({"image": text, "question": "?"}, strict=True)
    assert asked.image == b"\x89PNG\r\n\x1a\n"


URL = "is a URL, and images are not fetched from URLs: send the bytes in base64, or as a data URL"
NO_BASE64 = "is a data URL that is not in base64: send data:image/png;base64,..."
CHARACTER = "is not base64, which has no {}: send the image's bytes in base64, or as a data URL"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("http://a.b/c.png", URL),
        ("HTTPS://a.b/c.png", URL),
        ("ftp://a.b/c.png", URL),
        ("file:///a.png", URL),
        ("data:image/png,QUJD", NO_BASE64),
        ("data:image/pngbase64,QUJD", NO_BASE64),
        ("data:image/png", NO_BASE64),
        ("data:image/png;base64,QUJDR", "is not base64, which cannot have 5 characters: send the whole image"),
        ("data:image/png;base64,QUJD,QUJD", CHARACTER.format("','")),
        ("QUJ=D", CHARACTER.format("'='")),
        ("QUI==", CHARACTER.format("'='")),
        ("QUJ_", CHARACTER.format("'_'")),
        ("charts/a.png", CHARACTER.format("'.'")),
        ("Größe", CHARACTER.format("'ö'")),
        ("QQ\u00a0==", CHARACTER.format(r"'\xa0'")),
        (5, "must be the image's bytes in base64, or as a data URL"),
        (None, "is missing"),
    ],
)
def test_what_is_no_image_says_why(image: object, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(AnswerRequest, {"image": image, "question": "?"})
    assert (caught.value.param, caught.value.message) == ("image", f"'image' {why}")


@pytest.mark.parametrize("length", [0, 1, 2000, 2001])
def test_a_question_has_a_bound_without_the_space_around_it(length: int) -> None:
    fields = {"image": b"A", "question": " \n" + "q" * length + "\t "}
    if 1 <= length <= 2000:
        assert AnswerRequest.model_validate(fields).question == "q" * length
    else:
        assert refusal(AnswerRequest, **fields)[0] == "question"


BOUNDS: list[tuple[type[AnswerRequest], str, int, int | None]] = [
    (AnswerRequest, "max_new_tokens", 1, 512),
    (MatchaRequest, "max_patches", 1, None),
    (QwenVLRequest, "min_pixels", 784, None),
    (QwenVLRequest, "max_pixels", 784, None),
]


@pytest.mark.parametrize(("model", "field", "least", "most"), BOUNDS)
def test_numbers_are_taken_up_to_their_bounds(
    model: type[AnswerRequest], field: str, least: int, most: int | None
) -> None:
    asked: dict[str, Any] = {"image": b"A", "question": "?"}
    assert getattr(model.model_validate(asked), field) is None
    for good in (least, None, *([most] if most else [])):
        assert getattr(model.model_validate({**asked, field: good}, strict=True), field) == good
    for bad in (least - 1, 1.5, "7", True, *([most + 1] if most else [])):
        assert refusal(model, **asked, **{field: bad})[0] == field


LENS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "top_k": ([1, 20], {"top_k": 0, "top_k ": 21}),
    "layers": ([None, [0], [7] * 256], {"layers": [], "layers ": [7] * 257, "layers.0": ["1"]}),
    "tokens": (["first", "all"], {"tokens": "last"}),
    "track": ([[], ["x" * 64], ["3"] * 16], {"track": ["3"] * 17, "track.1": ["3", ""], "track.0": ["x" * 65]}),
    "image_tokens": ([True, False], {"image_tokens": "yes"}),
}


@pytest.mark.parametrize("field", LENS)
def test_the_lens_is_taken_up_to_its_bounds(field: str) -> None:
    taken, refused = LENS[field]
    for value in taken:
        assert getattr(LensRequest.model_validate({field: value}, strict=True), field) == value
    for where, value in refused.items():
        assert refusal(LensRequest, **{field: value})[0] == where.strip()


def test_a_lens_reads_the_first_token_at_every_layer_by_default() -> None:
    assert LensRequest().model_dump() == {
        "top_k": 5,
        "layers": None,
        "tokens": "first",
        "track": [],
        "image_tokens": False,
    }


@pytest.mark.parametrize(
    ("model", "field"), [(MatchaRequest, "lens"), (MatchaRequest, "max_pixels"), (QwenVLRequest, "max_patches")]
)
def test_a_field_of_the_other_service_is_refused(model: type[AnswerRequest], field: str) -> None:
    assert refusal(model, image=b"A", question="?", **{field: 3}) == (field, "Extra inputs are not permitted")


def test_a_client_passes_over_what_a_newer_server_adds() -> None:
    told = {**response().model_dump(), "energy_j": 3}
    assert AnswerResponse.model_validate(told) == response()
    assert TrackedProb.model_validate({"token": "3", "prob": 0.5, "rank": 2, "new": 1}).rank == 2


def test_an_older_server_may_leave_out_what_came_later() -> None:
    told = response().model_dump(exclude={"cache": True, "lens": True, "usage": {"cached_tokens"}})
    read = AnswerResponse.model_validate(told)
    assert (read.cache, read.lens, read.usage.cached_tokens) == (None, None, 0)


def test_a_model_card_is_openais() -> None:
    card = ModelCard(id="m", variant="v", revision="r", manifest_sha256="s").model_dump()
    assert card["warnings"] == []
    assert (card["object"], card["created"], card["owned_by"]) == ("model", 0, "tallyglass")


def test_an_error_in_openais_words() -> None:
    told = envelope(PromptTooLongError("shorten it", "question")).model_dump()
    assert told == {
        "error": {
            "message": "shorten it",
            "type": "invalid_request_error",
            "param": "question",
            "code": "context_length_exceeded",
        }
    }
