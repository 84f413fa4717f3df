"""The chat prompt, as token ids and their positions."""

from collections.abc import Sequence
from typing import Any

from services.training.tiny_qwen_vl.data.forms import Messages
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD

Position = tuple[int, int, int]
"""Time, row and column."""


def prompt_ids(tokenizer: Any, messages: Messages, image_tokens: int) -> list[int]:
    """The chat prompt of a conversation about one image, whose placeholder is repeated once per image token."""
    prompt: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(prompt.replace(IMAGE_PAD, IMAGE_PAD * image_tokens, 1))["input_ids"]
    return ids


def positions_of(ids: Sequence[int], image_pad: int, side: int) -> list[Position]:
    """Qwen2-VL's positions of a prompt with one square image of ``side`` tokens a side.

    The image's tokens lie on a grid; what follows goes on after its side. As transformers' ``get_rope_index``.
    """
    start = ids.index(image_pad)
    after = start + side * side
    cells = [(start, start + row, start + column) for row in range(side) for column in range(side)]
    return [
        *((index,) * 3 for index in range(start)),
        *cells,
        *((index - after + start + side,) * 3 for index in range(after, len(ids))),
    ]
