"""Turn a conversation with images into Qwen2-VL's inputs.

An image precedes the question about it, as the model's chat template puts it, so that the computation up to the end of
the image does not depend on the question. Tokenizer and image processor are loaded separately: transformers'
``AutoProcessor`` would pull in torchvision for videos, which are not supported here.
"""

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from services.common import images
from services.common.artifact.reading import readable
from services.qwen_vl.model.chat_encoder import ChatEncoder
from services.qwen_vl.model.chat_template import chat_template
from services.qwen_vl.types import ImageFile, ImageSpan, Question, Turn
from services.wire.errors import InvalidRequestError, named

_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
"""Byte-level vocabularies represent every byte as a printable character."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Inputs of one question; T prompt tokens."""

    input_ids: torch.Tensor  # (1, T) int64
    mm_token_type_ids: torch.Tensor  # (1, T) int64, 1 at image tokens
    spans: tuple[ImageSpan, ...]

    @property
    def tokens(self) -> int:
        """Length of the prompt, including image tokens."""
        return self.input_ids.shape[1]

    @property
    def image_tokens(self) -> int:
        """Number of image tokens."""
        return sum(span.tokens for span in self.spans)

    @property
    def image_grid_thw(self) -> torch.Tensor:
        """(images, 3) int64: frames, rows and columns of patches."""
        return torch.tensor([[1, *span.grid] for span in self.spans])

    def prefix_key(self, span: ImageSpan) -> Hashable:
        """Cache key of the keys and values up to the end of an image: all tokens and images up to there."""
        seen = hashlib.sha256(self.input_ids[0, : span.end].numpy().tobytes())
        for other in self.spans:
            if other.start <= span.start:
                seen.update(f"{other.digest}{other.grid}".encode())
        return "prefix", seen.hexdigest()


class PromptBuilder:
    """Tokenizer, chat template and image processor of a checkpoint folder; ``max_pixels`` is the server's limit."""

    def __init__(self, folder: Path, max_pixels: int) -> None:
        with readable("the tokenizer", folder):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._chat = ChatEncoder(self.tokenizer)
        with readable("the chat template", folder):
            if template := chat_template(folder):
                self.tokenizer.chat_template = template.text
            self._chat.ids((Turn("user", ("?",)),), ())  # what is wrong with it shows when it is used
        with readable("the image processor", folder):
            self.processor = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        self._limit = max_pixels

    def build(self, question: Question) -> Prompt:
        """Build the prompt of a conversation; images are measured but not decoded.

        Raises:
            InvalidRequestError: an image's aspect ratio exceeds 200, or the pixel bounds exceed the server's limit.
            UnsupportedImageError: an image is corrupt.
        """
        size = self._size(question)
        files = [part for turn in question.turns for part in turn.parts if isinstance(part, ImageFile)]
        cuts = [self._cut(image, size) for image in files]
        lengths = [self._tokens(cut) for _, cut in cuts]
        input_ids = torch.tensor([self._chat.ids(question.turns, lengths)])
        pads = input_ids == self._chat.image_id
        starts = self._starts(pads[0], lengths)
        spans = (
            ImageSpan(
                image=image,
                digest=hashlib.sha256(image.data).hexdigest(),
                width_px=width,
                height_px=height,
                size=size,
                grid=grid,
                start=start,
                tokens=self._tokens(grid),
            )
            for image, ((width, height), grid), start in zip(files, cuts, starts, strict=True)
        )
        return Prompt(input_ids, pads.long(), tuple(spans))

    def pixels(self, span: ImageSpan) -> torch.Tensor:
        """Decode and scale an image, keeping its aspect ratio, to float32 patches (rows · columns, 1176).

        Raises:
            UnsupportedImageError: the image is corrupt.
        """
        with named(span.image.name):
            image = images.decode(span.image.data)
        values: torch.Tensor = self.processor(images=[image], size=span.size, return_tensors="pt")["pixel_values"]
        return values

    def decode(self, token_ids: list[int]) -> str:
        """Text of an answer, without control tokens."""
        text: str = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        return text

    def token(self, token_id: int) -> str:
        """Text of one token; a partial character decodes to U+FFFD."""
        text: str = self.tokenizer.decode([token_id])
        return text

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a token, which may be a partial character."""
        name = self.tokenizer.convert_ids_to_tokens(token_id) or ""
        try:
            return bytes(_BYTES[character] for character in name)
        except KeyError:  # control tokens are not byte-encoded
            return name.encode()

    def single_token(self, text: str) -> int:
        """The id of a string that must be a single token.

        Raises:
            InvalidRequestError: the string is several tokens; the message lists them.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            pieces = ", ".join(repr(self.token(token_id)) for token_id in ids)
            message = f"{text!r} cannot be tracked because it is {len(ids)} tokens: {pieces}. Track one of them"
            raise InvalidRequestError(message, "lens.track")
        return ids[0]

    def _size(self, question: Question) -> dict[str, int]:
        """Pixel bounds for the image processor: the request's, else the model's, within the server's limit."""
        for name in ("min_pixels", "max_pixels"):
            wanted = getattr(question, name)
            if wanted is not None and wanted > self._limit:
                message = f"'{name}' is {wanted}, this server allows {self._limit}"
                raise InvalidRequestError(message, name)
        own = self.processor.size
        longest = question.max_pixels or max(min(own["longest_edge"], self._limit), question.min_pixels or 0)
        shortest = question.min_pixels or min(own["shortest_edge"], longest)
        if shortest > longest:
            message = f"'min_pixels' is {shortest}, more than 'max_pixels', which is {longest}"
            raise InvalidRequestError(message, "min_pixels")
        return {"shortest_edge": shortest, "longest_edge": longest}

    def _cut(self, image: ImageFile, size: dict[str, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """The image's width and height, and the rows and columns of its patches."""
        with named(image.name):
            width, height = images.upright_size(image.data)
        patch = self.processor.patch_size
        try:
            scaled = smart_resize(
                height, width, patch * self.processor.merge_size, size["shortest_edge"], size["longest_edge"]
            )
        except ValueError as error:  # only if the aspect ratio is too large
            message = f"an image of {width} x {height} pixels cannot be cut into patches ({error})"
            raise InvalidRequestError(message, image.name) from error
        return (width, height), (scaled[0] // patch, scaled[1] // patch)

    def _tokens(self, grid: tuple[int, int]) -> int:
        tokens: int = grid[0] * grid[1] // self.processor.merge_size**2
        return tokens

    @staticmethod
    def _starts(pads: torch.Tensor, lengths: list[int]) -> Iterator[int]:
        """Position of each image's first token, from the mask (T) of pad tokens."""
        positions = pads.nonzero()[:, 0].tolist()
        seen = 0
        for length in lengths:
            yield positions[seen]
            seen += length
