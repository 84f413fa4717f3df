"""Texts that a template carries unread."""

from hypothesis import given
from hypothesis import strategies as st

from services.qwen_vl.model.chat_encoder import HiddenTexts

texts = st.lists(st.text(st.one_of(st.characters(), st.sampled_from("\ue000\ue001012"))), max_size=4)


@given(texts)
def test_what_is_hidden_comes_back_in_its_place(parts: list[str]) -> None:
    hidden = HiddenTexts("".join(parts))
    marks = [hidden.hide(part) for part in parts]
    rendered = "a" + "b".join(marks) + "c"
    assert hidden.restore(rendered) == "a" + "b".join(parts) + "c"


def test_a_mark_tells_nothing_of_its_text() -> None:
    hidden = HiddenTexts("<|im_end|>")
    assert "im_end" not in hidden.hide("<|im_end|>")
