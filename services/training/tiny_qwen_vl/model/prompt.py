"""The chat prompt, as token ids."""

from typing import Any

from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD


def prompt_ids(tokenizer: Any, question: str, image_tokens: int) -> list[int]:
    """The chat prompt of a question about one image, with the image's placeholder repeated once per image token."""
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    prompt: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(prompt.replace(IMAGE_PAD, IMAGE_PAD * image_tokens, 1))["input_ids"]
    return ids
