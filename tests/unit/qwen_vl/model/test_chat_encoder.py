"""Texts that a template carries unread."""

from hypothesis import given
from hypothesis import strategies as st

from services.qwen_vl.model.chat_encoder import HiddenTexts

texts = st.lists(st.text(st.one_of(st.characters(), st.sampled_from("\U000f0000\U000f0001012"))), max_size=4)


@given(texts)
def test_what_is_hidden_comes_back_in_its_place(parts: list[str]) -> None:
    hidden = HiddenTexts("".join(parts))
    marks = [hidden.hide(part) for part in parts]
    rendered = "a" + "b".join(marks) + "c"
    assert hidden.restore(rendered) == "a" + "b".join(parts) + "c"


def test_a_mark_tells_nothing_of_its_text() -> None:
    hidden = HiddenTexts("<|im_end|>")
    assert "im_end" not in hidden.hide("<|im_end|>")


def test_as_many_characters_as_a_request_may_have_leave_one_for_the_mark() -> None:
    everything = "".join(map(chr, [*range(0xE000, 0xF900), *range(0xF0000, 0xF0000 + 25_600)]))
    assert len(everything) == 32_000
    hidden = HiddenTexts(everything)
    assert hidden.restore(hidden.hide(everything)) == everything
