"""Saves a trained model in the format of transformers."""

from pathlib import Path
from typing import Final

from services.training.shared.folder import save_pretrained
from services.training.tiny_qwen_vl.model.answering import Model

_MAX_NEW_TOKENS: Final = 8


def save_model(model: Model, folder: Path) -> None:
    """Write weights, configurations, tokenizer and image processor."""
    save_pretrained(model.network, model.tokenizer, folder, repetition_penalty=1.0, max_new_tokens=_MAX_NEW_TOKENS)
    model.image_processor.save_pretrained(folder)
