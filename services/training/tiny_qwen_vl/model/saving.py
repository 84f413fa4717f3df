"""Writes what transformers loads a trained model from."""

from pathlib import Path
from typing import Final

from transformers import GenerationConfig

from services.training.tiny_qwen_vl.model.answering import Model

_MAX_NEW_TOKENS: Final = 8


def save_model(model: Model, folder: Path) -> None:
    """Write weights, configurations, tokenizer and image processor."""
    model.network.generation_config = GenerationConfig(
        do_sample=False,
        repetition_penalty=1.0,
        max_new_tokens=_MAX_NEW_TOKENS,
        eos_token_id=model.tokenizer.eos_token_id,
        pad_token_id=model.tokenizer.pad_token_id,
    )
    model.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    model.image_processor.save_pretrained(folder)
