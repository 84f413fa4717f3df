"""A picture and a question to the numbers that Qwen2-VL reads.

The picture comes before the question, as the model's chat template puts it, so that what is computed up to the
picture's end depends on the picture alone. Tokenizer and image processor are loaded on their own:
transformers' ``AutoProcessor`` would pull in torchvision for videos that are never asked about.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from services.common.errors import InvalidRequestError

IMAGE_PAD = "<|image_pad|>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Inputs of one question; T prompt tokens, N patches of the picture."""

    input_ids: torch.Tensor  # (1, T) int64
    mm_token_type_ids: torch.Tensor  # (1, T) int64, 1 where the picture stands
    pixel_values: torch.Tensor  # (N, 1176) float32
    image_grid_thw: torch.Tensor  # (1, 3) int64: frames, rows and columns of patches
    image_tokens: int

    @property
    def tokens(self) -> int:
        """Length of the prompt, the picture's tokens included."""
        return self.input_ids.shape[1]


class PromptBuilder:
    """Tokenizer, chat template and image processor of a checkpoint folder."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        size = dict(self._processor.size)
        self._size = {**size, "longest_edge": min(size["longest_edge"], max(max_pixels, size["shortest_edge"]))}
        self._image_id: int = self.tokenizer.convert_tokens_to_ids(IMAGE_PAD)

    def build(self, picture: Image.Image, question: str) -> Prompt:
        """The prompt of one question about one RGB picture.

        Raises:
            InvalidRequestError: the sides of the picture differ by more than 200 times, or the question holds one of
                the model's control tokens.
        """
        self._refuse_control_tokens(question)
        try:
            pixels = self._processor(images=[picture], size=self._size, return_tensors="pt")
        except ValueError as error:  # the only bound of the processor: its aspect ratio
            message = f"the picture cannot be cut into patches ({error})"
            raise InvalidRequestError(message, "image") from error
        image_tokens = int(pixels["image_grid_thw"].prod()) // self._processor.merge_size**2
        text = self._template(question).replace(IMAGE_PAD, IMAGE_PAD * image_tokens)
        input_ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        return Prompt(
            input_ids=input_ids,
            mm_token_type_ids=(input_ids == self._image_id).long(),
            pixel_values=pixels["pixel_values"],
            image_grid_thw=pixels["image_grid_thw"],
            image_tokens=image_tokens,
        )

    def decode(self, token_ids: list[int]) -> str:
        """Text of an answer, without control tokens."""
        text: str = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        return text.strip()

    def token(self, token_id: int) -> str:
        """Text of one token; part of a character decodes to U+FFFD."""
        text: str = self.tokenizer.decode([token_id])
        return text

    def _template(self, question: str) -> str:
        messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        text: str = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return text

    def _refuse_control_tokens(self, question: str) -> None:
        """A question must not be able to end its own turn or to add pictures."""
        for token in self.tokenizer.all_special_tokens:
            if token in question:
                message = f"the question holds the control token {token}: leave it out"
                raise InvalidRequestError(message, "question")
