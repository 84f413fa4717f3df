"""Asks a saved model as the service would: greedy decoding of whole answers.

``services.matcha`` itself prepares the images, not the faster code that training uses.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration

from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import flatten_patches, pad_patches
from services.training.shared.weights import parameter_count
from services.training.tiny_matcha.model.network import MAX_PATCHES

BATCH = 50


class Answerer:
    """A model folder that answers questions about images."""

    def __init__(self, folder: Path) -> None:
        """Load weights and tokenizer."""
        self._network = Pix2StructForConditionalGeneration.from_pretrained(folder).eval()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return parameter_count(self._network)

    @torch.inference_mode()
    def answer(self, asked: Sequence[tuple[Image.Image, str]]) -> list[str]:
        """Greedy answers to (image, question) pairs, in their order."""
        answers: list[str] = []
        for batch in (asked[start : start + BATCH] for start in range(0, len(asked), BATCH)):
            images = [render_header(image, question, load_font(None)) for image, question in batch]
            patches, mask = pad_patches([flatten_patches(image, MAX_PATCHES) for image in images])
            ids = self._network.generate(
                flattened_patches=torch.from_numpy(patches), attention_mask=torch.from_numpy(mask)
            )
            answers.extend(self._tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True))
        return answers
