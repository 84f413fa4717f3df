"""Asks a model as the service would (chat prompt, image processor, greedy decoding), and reads out every layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from services.training.tiny_qwen_vl.data.forms import Messages
from services.training.tiny_qwen_vl.model.prompt import prompt_ids
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD

LENS_TOP: Final = 5
_BATCH: Final = 64
_MAX_NEW_TOKENS: Final = 3
"""The answer, its end, and one more, to notice an answer that does not end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered, and the likeliest tokens of each layer for the answer's first token, best first.

    Layer 0 is the embedding, layer i the output of block i; the last layer is the model's own prediction.
    """

    text: str
    layers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """The network, its tokenizer and its image processor."""

    network: Any
    tokenizer: Any
    image_processor: Any

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Load a saved model, in fp32."""
        return cls(
            network=Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval(),
            tokenizer=AutoTokenizer.from_pretrained(folder),
            image_processor=Qwen2VLImageProcessorPil.from_pretrained(folder),
        )


@torch.no_grad()
def answer(model: Model, images: Sequence[Image.Image], conversations: Sequence[Messages]) -> list[Reply]:
    """Replies to conversations, each about the image at the same index; prompts of equal length are batched."""
    replies: dict[int, Reply] = {}
    prompts = [_Prompt.of(model, *pair) for pair in zip(images, conversations, strict=True)]
    for indices in _groups(prompts):
        batch = _generate(model, [prompts[index] for index in indices])
        replies.update(zip(indices, batch, strict=True))
    return [replies[index] for index in range(len(prompts))]


@dataclass(frozen=True, slots=True)
class _Prompt:
    ids: list[int]
    patches: torch.Tensor
    grid: torch.Tensor

    @classmethod
    def of(cls, model: Model, image: Image.Image, messages: Messages) -> "_Prompt":
        features = model.image_processor(images=[image], return_tensors="pt")
        grid = features["image_grid_thw"]
        image_tokens = int(grid.prod()) // model.image_processor.merge_size**2
        return cls(prompt_ids(model.tokenizer, messages, image_tokens), features["pixel_values"], grid)


def _groups(prompts: Sequence[_Prompt]) -> Iterator[list[int]]:
    """Indices of prompts of equal length, which need no padding, at most a batch at a time."""
    by_length: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt.ids), []).append(index)
    for indices in by_length.values():
        yield from (indices[start : start + _BATCH] for start in range(0, len(indices), _BATCH))


def _generate(model: Model, prompts: Sequence[_Prompt]) -> list[Reply]:
    ids = torch.tensor([prompt.ids for prompt in prompts])
    output = model.network.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=torch.cat([prompt.patches for prompt in prompts]),
        image_grid_thw=torch.cat([prompt.grid for prompt in prompts]),
        mm_token_type_ids=(ids == model.tokenizer.convert_tokens_to_ids(IMAGE_PAD)).int(),
        max_new_tokens=_MAX_NEW_TOKENS,
        output_hidden_states=True,
        return_dict_in_generate=True,
    )
    texts = model.tokenizer.batch_decode(output.sequences[:, ids.shape[1] :], skip_special_tokens=True)
    tops = lens_tops(model.network, [states[:, -1] for states in output.hidden_states[0]])
    words = model.tokenizer.convert_ids_to_tokens(list(range(len(model.tokenizer))))
    decoded = [model.tokenizer.convert_tokens_to_string([word]) for word in words]
    return [
        Reply(text, tuple(tuple(decoded[token] for token in layer) for layer in tops[:, index].tolist()))
        for index, text in enumerate(texts)
    ]


def lens_tops(network: Any, states: Sequence[torch.Tensor]) -> torch.Tensor:
    """Likeliest tokens of each layer, read out with the final norm and the output matrix: the logit lens.

    Args:
        network: the Qwen2-VL model.
        states: (B, WIDTH) per layer, the last already normed, as transformers returns them.

    Returns:
        (layers, B, LENS_TOP), int64.
    """
    norm = network.model.language_model.norm
    normed = torch.stack([norm(layer) for layer in states[:-1]] + [states[-1]])
    tops: torch.Tensor = network.lm_head(normed).topk(LENS_TOP, dim=-1).indices
    return tops
