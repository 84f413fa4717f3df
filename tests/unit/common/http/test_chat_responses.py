import json
import time
from typing import Any

import openai
import pytest

from services.common.http.chat_responses import DONE, Chunks, completion, error_event
from services.common.worker.messages import Delta
from services.wire.answer import Timing, TokenLogprob, TokenScore
from services.wire.errors import TooLargeError
from services.wire.lens import LensTrace
from tests.unit.common.http.serving import CARD, response

LENS = LensTrace(num_layers=3, steps=[])
ANSWER = response(lens=LENS, timing=Timing(queue_ms=1, preprocess_ms=2, inference_ms=3, total_ms=6))
USAGE = {
    "prompt_tokens": 17,
    "completion_tokens": 5,
    "total_tokens": 22,
    "prompt_tokens_details": {"cached_tokens": 3, "image_tokens": 11},
}
TIMING = {"queue_ms": 1.0, "preprocess_ms": 2.0, "inference_ms": 3.0, "total_ms": 6.0}
SCORE = TokenLogprob(
    token="three",  # noqa: S106 of a model
    logprob=-0.25,
    bytes=[116],
    top_logprobs=[TokenScore(token="3", logprob=-0.5, bytes=None)],  # noqa: S106 of a model
)

OTHERS = {"moderation", "obfuscation"}
"""Fields of OpenAI's that only what is not supported here would bring."""


def events(data: bytes) -> list[Any]:
    *parts, rest = data.split(b"\n\n")
    assert rest == b""
    return [json.loads(part.removeprefix(b"data: ")) for part in parts if part != b"data: [DONE]"]


@pytest.mark.parametrize("scores", [None, [], [SCORE]])
def test_a_completion_is_openais_with_our_own_beside_it(scores: list[TokenLogprob] | None) -> None:
    before = int(time.time())
    told = completion(ANSWER, scores, "fp_1", ["n", "store"]).model_dump(mode="json")
    assert before <= told.pop("created") <= time.time()
    score = {"token": "three", "logprob": -0.25, "bytes": [116]}
    top = [{"token": "3", "logprob": -0.5, "bytes": None}]
    content = [{**score, "top_logprobs": top}] if scores else []
    assert told == {
        "id": "the-request",
        "object": "chat.completion",
        "model": "some/model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "three apples", "refusal": None},
                "logprobs": None if scores is None else {"content": content, "refusal": None},
                "finish_reason": "length",
                "lens": {"num_layers": 3, "steps": [], "image_tokens": None},
            }
        ],
        "usage": USAGE,
        "variant": "int8",
        "timing": TIMING,
        "cache": "hit",
        "system_fingerprint": "fp_1",
        "service_tier": None,
        "ignored": ["n", "store"],
    }


def made() -> Chunks:
    return Chunks("chatcmpl-7", CARD)


def test_every_chunk_names_the_request_and_the_model() -> None:
    before = int(time.time())
    chunks = made()
    sent = events(chunks.first([]) + chunks.delta(Delta("three")) + chunks.last(ANSWER, usage=True))
    heads = [{name: chunk[name] for name in ("id", "object", "model", "variant")} for chunk in sent]
    assert heads == [
        {"id": "chatcmpl-7", "object": "chat.completion.chunk", "model": "some/model", "variant": "int8"}
    ] * len(sent)
    (created,) = {chunk["created"] for chunk in sent}
    assert before <= created <= time.time()


def test_every_chunk_has_every_field_of_openais() -> None:
    chunks = made()
    sent = events(chunks.first(["n"]) + chunks.delta(Delta("three", [SCORE])) + chunks.last(ANSWER, usage=True))
    for chunk in sent:
        assert set(openai.types.chat.ChatCompletionChunk.model_fields) - set(chunk) <= OTHERS
        for choice in chunk["choices"]:
            assert {"index", "delta", "finish_reason", "logprobs"} <= set(choice)
    assert {chunk["system_fingerprint"] for chunk in sent} == {"fp_ab12_int8"}
    assert [chunk["usage"] for chunk in sent] == [None] * (len(sent) - 1) + [USAGE]
    assert [chunk.get("ignored") for chunk in sent] == [["n"]] + [None] * (len(sent) - 1)


def choices(data: bytes) -> list[Any]:
    return [chunk["choices"] for chunk in events(data)]


def test_the_role_comes_first_and_the_end_last() -> None:
    chunks = made()
    going = {"index": 0, "finish_reason": None, "logprobs": None}
    assert choices(chunks.first([])) == [[{**going, "delta": {"role": "assistant", "content": ""}}]]
    assert choices(chunks.delta(Delta("three"))) == [[{**going, "delta": {"content": "three"}}]]
    chunks.delta(Delta(" apples"))
    last = chunks.last(ANSWER, usage=False)
    (end,) = events(last)
    lens = {"num_layers": 3, "steps": [], "image_tokens": None}
    assert end["choices"] == [{**going, "delta": {}, "finish_reason": "length", "lens": lens}]
    assert (end["timing"], end["cache"], end["usage"]) == (TIMING, "hit", None)
    assert last.endswith(b"\n\n" + DONE)
    assert DONE == b"data: [DONE]\n\n"


def test_the_sizes_come_in_a_chunk_of_their_own_if_asked_for() -> None:
    *_, end, sizes = events(made().last(ANSWER, usage=True))
    assert end["choices"][0]["finish_reason"] == "length"
    assert end["usage"] is None
    assert (sizes["choices"], sizes["usage"]) == ([], USAGE)
    assert "timing" not in sizes


@pytest.mark.parametrize("pieces", [[], ["th"], ["three", " app"], ["three", " apples"], ["t", "", "hree apples"]])
def test_the_end_brings_what_no_piece_has_brought(pieces: list[str]) -> None:
    chunks = made()
    sent = b"".join(chunks.delta(Delta(piece)) for piece in pieces) + chunks.last(ANSWER, usage=False)
    deltas = [choice["delta"] for (choice,) in choices(sent)]
    assert "".join(delta.get("content", "") for delta in deltas) == "three apples"
    assert len(deltas) == len(pieces) + ("".join(pieces) != "three apples") + 1


def test_a_piece_brings_the_scores_of_its_tokens() -> None:
    (choice,) = choices(made().delta(Delta("three", [SCORE])))[0]
    assert choice["delta"] == {"content": "three"}
    top = [{"token": "3", "logprob": -0.5, "bytes": None}]
    assert choice["logprobs"] == {
        "content": [{"token": "three", "logprob": -0.25, "bytes": [116], "top_logprobs": top}],
        "refusal": None,
    }


def test_a_stream_that_breaks_off_ends_with_the_envelope() -> None:
    assert error_event(TooLargeError("scale it down", "image")) == (
        b'data: {"error":{"message":"scale it down","type":"invalid_request_error","param":"image",'
        b'"code":"too_large"}}\n\n'
    )
