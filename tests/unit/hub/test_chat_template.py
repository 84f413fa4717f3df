"""The checkpoints' chat template against the prompt that Qwen2-VL documents."""

from collections.abc import Mapping
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.hub.settings import CHAT_TEMPLATE

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
DEFAULT = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def rendered(*messages: Mapping[str, Any], prompt: bool = True) -> str:
    """The template's text, in an environment with transformers' options."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(CHAT_TEMPLATE).render(messages=list(messages), add_generation_prompt=prompt)


def test_parts_come_in_their_order_after_the_default_system_turn() -> None:
    parts = [{"type": "text", "text": " a "}, {"type": "image"}, {"type": "image"}, {"type": "text", "text": "b\n"}]
    asked = f"<|im_start|>user\n a {IMAGE}{IMAGE}b\n<|im_end|>\n"
    assert rendered({"role": "user", "content": parts}) == f"{DEFAULT}{asked}<|im_start|>assistant\n"


def test_a_system_turn_of_its_own_replaces_the_default_one() -> None:
    system = {"role": "system", "content": "Be brief."}
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert rendered(system, {"role": "user", "content": "Hi"}) == expected


def test_an_answer_is_a_turn_and_is_asked_for_only_on_demand() -> None:
    asked = {"role": "user", "content": "Hi"}
    answered = {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]}
    expected = f"{DEFAULT}<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"
    assert rendered(asked, answered, prompt=False) == expected
