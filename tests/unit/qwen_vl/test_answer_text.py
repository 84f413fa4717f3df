"""An answer's text while it grows, and the picking of its tokens."""

import pytest
import torch

from services.qwen_vl.answer_text import AnswerText
from services.qwen_vl.sampling import Picker
from services.qwen_vl.values import Sampling

WORDS = ["one", " two", " th", "ree", " four"]


def text_of(ids: list[int]) -> str:
    return "".join(WORDS[one] for one in ids)


def bytes_of(ids: list[int]) -> str:
    return bytes(ids).decode(errors="replace")


def test_pieces_are_the_text() -> None:
    text = AnswerText(text_of, ())
    assert [text.push(one) for one in range(5)] == WORDS
    assert text.rest() == ""


@pytest.mark.parametrize("stops", [("three",), ("zzz", " three"), (" th", "ree"), ("two three f",)])
def test_nothing_of_a_stop_string_is_sent(stops: tuple[str, ...]) -> None:
    text = AnswerText(text_of, stops)
    sent = ""
    for one in range(5):
        sent += text.push(one)
        if text.stopped:
            break
    whole = "".join(WORDS)
    assert text.stopped
    assert sent + text.rest() == text.text == whole[: min(whole.find(stop) for stop in stops if stop in whole)]


def test_what_only_began_like_a_stop_string_comes_out_at_the_end() -> None:
    text = AnswerText(text_of, (" threshold",))
    assert [text.push(one) for one in range(4)] == ["one", " two", "", " three"]
    assert (text.rest(), text.stopped) == ("", False)


def test_a_character_is_sent_whole() -> None:
    text = AnswerText(bytes_of, ())
    assert [text.push(byte) for byte in "3三".encode()] == ["3", "", "", "三"]


def test_a_character_that_never_ends_is_shown_as_broken() -> None:
    text = AnswerText(bytes_of, ())
    assert text.push("三".encode()[0]) == ""
    assert text.rest() == "\ufffd"


LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0])


def test_greedy_takes_the_best() -> None:
    assert Picker(Sampling()).pick(LOGITS) == 0


def test_draws_follow_temperature_and_seed() -> None:
    picker = Picker(Sampling(temperature=0.5, seed=1))
    draws = [picker.pick(LOGITS) for _ in range(4000)]
    again = Picker(Sampling(temperature=0.5, seed=1))
    assert draws == [again.pick(LOGITS) for _ in range(4000)]
    shares = torch.bincount(torch.tensor(draws), minlength=4) / 4000
    assert shares.tolist() == pytest.approx((LOGITS / 0.5).softmax(-1).tolist(), abs=0.02)


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, {0}), (0.8, {0, 1}), (1.0, {0, 1, 2, 3})])
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, kept: set[int]) -> None:
    picker = Picker(Sampling(temperature=1.0, top_p=top_p, seed=5))
    assert {picker.pick(LOGITS) for _ in range(2000)} == kept


def test_a_temperature_near_zero_is_greedy() -> None:
    assert Picker(Sampling(temperature=1e-300, seed=0)).pick(LOGITS) == 0
