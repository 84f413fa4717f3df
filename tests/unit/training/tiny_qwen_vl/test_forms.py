"""In which forms questions are put, and that each is put as the chat template and transformers have it."""

import random
from collections import Counter

import pytest
import torch

from services.training.tiny_qwen_vl.data.cases import FORMS, form_cases
from services.training.tiny_qwen_vl.data.forms import (
    IMAGE_FIRST,
    TEXT_FIRST,
    UNSEEN_SYSTEMS,
    Form,
    system_turn,
    training_forms,
)
from services.training.tiny_qwen_vl.data.questions import SceneQuestion
from services.training.tiny_qwen_vl.learning.batches import sample_examples
from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import CELLS
from services.training.tiny_qwen_vl.model.prompt import positions_of, prompt_ids
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD

EARLIER = SceneQuestion("图中有几个图形？", "zh", "total", 4)
QUESTIONS = [EARLIER, *(SceneQuestion(f"How many {number}?", "en", "total", number) for number in range(4))]
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
ASSISTANT = "<|im_start|>assistant\n"


def user(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n"


@pytest.mark.parametrize(
    ("form", "turns"),
    [
        (IMAGE_FIRST, user(f"{IMAGE}How many?")),
        (TEXT_FIRST, user(f"How many?{IMAGE}")),
        (
            Form(text_first=True, system="Be exact.", earlier=EARLIER),
            f"{user(f'{EARLIER.text}{IMAGE}')}{ASSISTANT}四<|im_end|>\n{user('How many?')}",
        ),
    ],
    ids=["image first", "text first", "all else"],
)
def test_a_conversation_is_rendered_turn_by_turn(fresh: Model, form: Form, turns: str) -> None:
    system = form.system or "You are a helpful assistant."
    prompt = fresh.tokenizer.apply_chat_template(form.messages("How many?"), tokenize=False, add_generation_prompt=True)
    assert prompt == f"<|im_start|>system\n{system}<|im_end|>\n{turns}{ASSISTANT}"


@pytest.mark.parametrize("form", [IMAGE_FIRST, TEXT_FIRST, Form(text_first=True, system="你好", earlier=EARLIER)])
def test_positions_are_those_of_transformers(fresh: Model, form: Form) -> None:
    ids = prompt_ids(fresh.tokenizer, form.messages("How many?"), CELLS)
    pad = fresh.tokenizer.convert_tokens_to_ids(IMAGE_PAD)
    given = torch.tensor([ids])
    expected, _ = fresh.network.model.get_rope_index(
        given, mm_token_type_ids=(given == pad).int(), image_grid_thw=torch.tensor([[1, 8, 8]])
    )
    assert positions_of(ids, pad, side=4) == [tuple(each) for each in expected[:, 0].T.tolist()]


def test_training_puts_both_orders_system_turns_and_second_questions() -> None:
    rng = random.Random("test")
    drawn = [training_forms(rng, QUESTIONS) for _ in range(600)]
    assert all(len(forms) == len(QUESTIONS) for forms in drawn)
    counted = Counter((form.text_first, bool(form.system), bool(form.earlier)) for forms in drawn for form in forms)
    assert {(form.text_first, form.system, form.earlier) for forms in drawn for form in forms[:4]} == {
        (False, None, None),
        (True, None, None),
    }
    for text_first in (False, True):
        assert counted[text_first, False, False] == pytest.approx(1300, rel=0.05)
        assert counted[text_first, True, False] == pytest.approx(100, rel=0.35)
        assert counted[text_first, False, True] == pytest.approx(100, rel=0.35)
    assert {form.earlier for forms in drawn for form in forms} == {None, EARLIER}


def test_the_image_comes_first_unless_every_form_is_wanted() -> None:
    one = next(sample_examples(random.Random(1), 5))
    other = next(sample_examples(random.Random(1), 5, every_form=True))
    assert one.questions == other.questions
    assert set(one.forms) == {IMAGE_FIRST}
    assert {form.text_first for form in other.forms} == {False, True}


def test_a_system_turn_is_never_one_that_is_held_out() -> None:
    rng = random.Random("test")
    drawn = {system_turn(rng) for _ in range(2000)}
    assert len(drawn) == 36
    assert not drawn & set(UNSEEN_SYSTEMS)


def test_each_set_of_cases_is_in_its_form() -> None:
    put = {name: [case.form for case in form_cases(name, per_cell=1)] for name in FORMS}
    assert set(put["image first"]) == {IMAGE_FIRST}
    assert set(put["text first"]) == {TEXT_FIRST}
    assert {form.system for form in put["own system turn"]} == set(UNSEEN_SYSTEMS)
    assert all(form.earlier for form in put["second question"])
    for name in ("own system turn", "second question"):
        assert {form.text_first for form in put[name]} == {False, True}
