"""One answer being generated from given logits: when it ends, what each step yields, and its scores."""

import math
from typing import Any

import pytest
import torch

from services.qwen_vl.model.detokenizer import Detokenizer
from services.qwen_vl.model.generation import Generation
from services.qwen_vl.model.network import Sequence
from services.qwen_vl.model.prompt import Prompt
from services.qwen_vl.types import Piece, Question, Sampling, Turn

WORDS = ["<end>", "a", "bc", "d", "<pad>"]
END, PAD = 0, 4
PROMPT = Prompt(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), ())


def generation(**options: Any) -> Generation:
    question = Question((Turn("user", ("?",)),), **{"max_new_tokens": 9, **options})
    text = Detokenizer(lambda ids: "".join(WORDS[one] for one in ids), question.stop)
    return Generation(question, PROMPT, Sequence(None, 3, -1), text, [END, PAD], None)


def best(token_id: int) -> torch.Tensor:
    return torch.eye(5)[token_id] * 3


def advance(made: Generation, *token_ids: int) -> list[Piece]:
    return [made.advance(best(token_id), []) for token_id in token_ids]


def test_each_step_adds_its_token_and_tells_the_network() -> None:
    made = generation()
    pieces = []
    for token_id in (1, 3, 2):
        pieces += advance(made, token_id)
        assert made.sequence.token_id == token_id
    assert [piece.text for piece in pieces] == ["a", "d", "bc"]
    assert (made.token_ids, made.text.text, made.finish_reason) == ([1, 3, 2], "adbc", None)


@pytest.mark.parametrize("end", [END, PAD])
def test_any_of_the_models_end_markers_ends_an_answer_and_is_not_in_its_text(end: int) -> None:
    made = generation(top_logprobs=2)
    piece = advance(made, 1, end)[-1]
    assert piece == Piece("", None)
    assert (made.finish_reason, made.text.text, made.token_ids) == ("stop", "a", [1, end])


@pytest.mark.parametrize(("most", "reasons"), [(1, ["length"]), (2, [None, "length"]), (3, [None, None, "length"])])
def test_an_answer_ends_with_the_last_token_allowed(most: int, reasons: list[str | None]) -> None:
    made = generation(max_new_tokens=most)
    seen = []
    for token_id in (1, 2, 3)[:most]:
        advance(made, token_id)
        seen.append(made.finish_reason)
    assert seen == reasons


@pytest.mark.parametrize("last", [END, 3])
def test_an_end_at_the_last_token_allowed_is_a_stop(last: int) -> None:
    made = generation(max_new_tokens=2, stop=("d",))
    advance(made, 1, last)
    assert (made.finish_reason, made.text.text) == ("stop", "a")


def test_a_stop_string_over_two_tokens_ends_an_answer_before_it() -> None:
    made = generation(stop=("cd",))
    pieces = advance(made, 1, 2, 3)
    assert [piece.text for piece in pieces] == ["a", "b", ""]
    assert (made.finish_reason, made.text.text, len(made.token_ids)) == ("stop", "ab", 3)


@pytest.mark.parametrize("last", [END, 1])
def test_what_was_held_back_comes_with_the_end(last: int) -> None:
    made = generation(stop=("cde",), max_new_tokens=3)
    pieces = advance(made, 2, 3, last)
    assert [piece.text for piece in pieces] == ["b", "", "cd" + ("" if last == END else "a")]


def test_scores_are_of_the_token_that_was_drawn_beside_the_best_ones() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, 3.0])
    total = sum(math.exp(value) for value in logits.tolist())
    made = generation(top_logprobs=3, sampling=Sampling(temperature=5.0, top_p=0.9, seed=0))
    drawn = set()
    for _ in range(8):
        before = len(made.token_ids)
        scores = made.advance(logits, []).scores
        token_id = made.token_ids[before]
        if token_id in {END, PAD}:
            assert scores is None
            continue
        drawn.add(token_id)
        assert scores is not None
        assert scores.token[0] == token_id
        assert scores.token[1] == pytest.approx(float(logits[token_id]) - math.log(total), abs=1e-5)
        assert [one for one, _ in scores.top] == [4, 2, 1]
        assert [value for _, value in scores.top] == pytest.approx([x - math.log(total) for x in (3, 2, 1)], abs=1e-5)
    assert drawn >= {1, 2}, "a seed that draws one token alone shows nothing"


@pytest.mark.parametrize(("wanted", "given"), [(None, None), (0, 0), (1, 1), (5, 5), (20, 5)])
def test_as_many_best_tokens_as_were_asked_for(wanted: int | None, given: int | None) -> None:
    (piece,) = advance(generation(top_logprobs=wanted), 2)
    assert (None if piece.scores is None else len(piece.scores.top)) == given
