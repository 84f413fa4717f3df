"""The mapping between the wire contract and the engine's values, field by field."""

from typing import Any

import pytest

from services.common.worker.messages import Delta
from services.qwen_vl.model.prompt import PromptBuilder
from services.qwen_vl.translate import Translator
from services.qwen_vl.types import (
    Answer,
    GridReading,
    ImageFile,
    LensOptions,
    LensReading,
    Piece,
    Question,
    Reading,
    Sampling,
    StepReading,
    TokenScores,
    Turn,
)
from services.wire.answer import QwenVLRequest
from services.wire.chat import QwenVLChat
from services.wire.lens import LensRequest

THREE, FOUR, FIVE = 18, 19, 20
LENS = LensRequest(top_k=7, layers=[8, 0, 3], tokens="all", track=["4", "3"], image_tokens=True)
OPTIONS = LensOptions(7, (8, 0, 3), every_token=True, track=("4", "3"), image_tokens=True)


@pytest.fixture
def translator(prompts: PromptBuilder) -> Translator:
    return Translator(prompts, 8, 33)


def reading(at: int, *, answer: int = 0) -> Reading:
    """A reading in which every number identifies its source."""
    return Reading(
        [THREE + at % 3, FIVE], [at / 100, at / 200], at / 10, at / 300, answer, [(at / 400, at), (at / 500, -at)]
    )


def chat(**fields: Any) -> QwenVLChat:
    return QwenVLChat(**{"messages": [{"role": "user", "content": "How many?"}], **fields})


def test_a_question_about_an_image_is_one_greedy_turn(translator: Translator) -> None:
    asked = QwenVLRequest(
        image=b"bytes", question="How?", max_new_tokens=5, lens=LENS, min_pixels=1000, max_pixels=2000
    )
    assert translator.question(asked) == Question(
        (Turn("user", (ImageFile(b"bytes"), "How?")),), 5, Sampling(), (), None, OPTIONS, 1000, 2000
    )
    assert translator.question(QwenVLRequest(image=b"bytes", question="How?")) == Question(
        (Turn("user", (ImageFile(b"bytes"), "How?")),), 33, Sampling(temperature=0.0, top_p=1.0, seed=None)
    )


def test_every_field_of_a_chat_reaches_the_engine(translator: Translator) -> None:
    url = {"url": "data:image/png;base64,Ynl0ZXM="}
    asked = chat(
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": url}]},
            {"role": "assistant", "content": "2"},
            {"role": "system", "content": "In words."},
            {"role": "user", "content": "And now?"},
        ],
        max_tokens=4,
        max_completion_tokens=6,
        temperature=0.7,
        top_p=0.9,
        seed=11,
        stop=["x", "yz"],
        logprobs=True,
        top_logprobs=3,
        lens=LENS,
        min_pixels=1000,
        max_pixels=2000,
    )
    assert translator.question(asked) == Question(
        turns=(
            Turn("system", ("Be brief.",)),
            Turn("user", ("a", ImageFile(b"bytes", "messages.1.content.1.image_url"))),
            Turn("assistant", ("2",)),
            Turn("system", ("In words.",)),
            Turn("user", ("And now?",)),
        ),
        max_new_tokens=6,
        sampling=Sampling(0.7, 0.9, 11),
        stop=("x", "yz"),
        top_logprobs=3,
        lens=OPTIONS,
        min_pixels=1000,
        max_pixels=2000,
    )


def test_what_a_chat_leaves_out(translator: Translator) -> None:
    turns = (Turn("user", ("How many?",)),)
    assert translator.question(chat()) == Question(turns, 33, Sampling(0.0, 1.0, None), (), None, None, None, None)
    assert translator.question(chat(temperature=0, seed=0)).sampling == Sampling(0.0, 1.0, 0)
    assert translator.question(chat(lens={})).lens == LensOptions(
        5, None, every_token=False, track=(), image_tokens=False
    )
    assert translator.question(chat(lens={"layers": [0]})).lens == LensOptions(layers=(0,))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [({"logprobs": False}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 0}, 0)],
    ids=str,
)
def test_scores_are_given_if_asked_for(translator: Translator, fields: dict[str, Any], wanted: int | None) -> None:
    assert translator.question(chat(**fields)).top_logprobs == wanted


def test_a_piece_carries_the_scores_of_its_token(translator: Translator) -> None:
    assert translator.delta(Piece("3", None)) == Delta("3", [])
    delta = translator.delta(Piece("x", TokenScores((THREE, -2.5), [(FOUR, -0.5), (FIVE, -1.5)])))
    (scores,) = delta.logprobs
    assert delta.text == "x"
    assert scores.model_dump() == {
        "token": "3",
        "logprob": -2.5,
        "bytes": [51],
        "top_logprobs": [
            {"token": "4", "logprob": -0.5, "bytes": [52]},
            {"token": "5", "logprob": -1.5, "bytes": [53]},
        ],
    }


def answer(text: str = " 3 ", lens: LensReading | None = None) -> Answer:
    return Answer(text, [THREE, FOUR, FIVE], "length", 16, 40, 31, "hit", 1.5, 2.5, lens)


def test_an_answer_has_its_sizes_and_times(translator: Translator) -> None:
    given = translator.answer(QwenVLRequest(image=b"", question="?"), answer(), queue_ms=0.5)
    assert (given.text, given.finish_reason, given.cache, given.lens) == ("3", "length", "hit", None)
    assert given.usage.model_dump() == {
        "image_tokens": 16,
        "prompt_tokens": 40,
        "completion_tokens": 3,
        "cached_tokens": 31,
    }
    assert (given.queue_ms, given.preprocess_ms, given.inference_ms) == (0.5, 1.5, 2.5)


def test_only_the_answer_of_a_question_is_trimmed(translator: Translator) -> None:
    assert translator.answer(QwenVLRequest(image=b"", question="?"), answer(" 3 \n"), 0).text == "3"
    assert translator.answer(chat(), answer(" 3 \n"), 0).text == " 3 \n"


def test_a_lens_trace_names_its_layers_tokens_and_tracked_strings(translator: Translator) -> None:
    steps = [StepReading(FOUR, [reading(1, answer=5), reading(2)]), StepReading(FIVE, [reading(3), reading(4)])]
    trace = translator.answer(chat(), answer(lens=LensReading((2, 8), ("a", "b"), steps, None)), 0).lens
    assert trace is not None
    assert (trace.num_layers, trace.image_tokens) == (8, None)
    assert [(step.token, step.token_id) for step in trace.steps] == [("4", FOUR), ("5", FIVE)]
    assert [[layer.layer for layer in step.layers] for step in trace.steps] == [[2, 8], [2, 8]]
    assert trace.steps[0].layers[0].model_dump() == {
        "layer": 2,
        "top": [{"token": "4", "token_id": FOUR, "prob": 0.01}, {"token": "5", "token_id": FIVE, "prob": 0.005}],
        "entropy": 0.1,
        "answer_prob": 1 / 300,
        "answer_rank": 5,
        "track": [{"token": "a", "prob": 1 / 400, "rank": 1}, {"token": "b", "prob": 1 / 500, "rank": -1}],
    }
    assert [layer.entropy for step in trace.steps for layer in step.layers] == [0.1, 0.2, 0.3, 0.4]


def test_a_grid_has_rows_of_cells_and_the_box_of_one_in_pixels_of_the_image(translator: Translator) -> None:
    cells = [[reading(10 * layer + cell) for cell in range(6)] for layer in (1, 2)]
    grids = [GridReading(90, 50, 2, 3, cells), GridReading(30, 60, 6, 1, cells)]
    lens = LensReading((4, 8), ("a", "b"), [], grids)
    trace = translator.answer(chat(), answer(lens=lens), 0).lens
    assert trace is not None
    wide, tall = trace.image_tokens or []
    assert (wide.width_px, wide.height_px, wide.rows, wide.columns) == (90, 50, 2, 3)
    assert (wide.cell_width_px, wide.cell_height_px) == (30, 25)
    assert (tall.rows, tall.columns, tall.cell_width_px, tall.cell_height_px) == (6, 1, 30, 10)
    assert [layer.layer for layer in wide.layers] == [4, 8]
    first, second = wide.layers
    assert first.probs == [[0.10, 0.11, 0.12], [0.13, 0.14, 0.15]]
    assert second.probs == [[0.20, 0.21, 0.22], [0.23, 0.24, 0.25]]
    assert tall.layers[0].probs == [[0.10], [0.11], [0.12], [0.13], [0.14], [0.15]]
    assert first.token_ids == [[FOUR, FIVE, THREE], [FOUR, FIVE, THREE]]
    assert first.tokens == [["4", "5", "3"], ["4", "5", "3"]]
    assert [one.token for one in first.track] == ["a", "b"]
    assert first.track[0].probs == [[10 / 400, 11 / 400, 12 / 400], [13 / 400, 14 / 400, 15 / 400]]
    assert second.track[1].probs == [[20 / 500, 21 / 500, 22 / 500], [23 / 500, 24 / 500, 25 / 500]]
