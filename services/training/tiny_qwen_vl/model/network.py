"""The architecture: ``Qwen2VLForConditionalGeneration`` with 2.7 million parameters, and its image processor."""

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from services.training.tiny_qwen_vl.data.scenes import SIDE
from services.training.tiny_qwen_vl.model.tokenizer import IMAGE_PAD, VIDEO_PAD, VISION_END, VISION_START

PATCH: Final = 14
MERGE: Final = 2
GRID: Final = int(SIDE) // PATCH
"""Patches along a side."""
CELLS: Final = (GRID // MERGE) ** 2
"""Tokens of an image."""
WIDTH: Final = 128
LAYERS: Final = 8

_AREA_ROOM: Final = 2
"""Pixels by which a side may differ from ``SIDE``."""

_TEXT: Final = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 384,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
}
_VISION: Final = {
    "depth": 3,
    "embed_dim": WIDTH,
    "hidden_size": WIDTH,
    "num_heads": 4,
    "mlp_ratio": 3,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
}


def build_network(tokenizer: Any) -> Any:
    """The model with initial weights from torch's global generator."""
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _TOKEN_FIELDS.items()}
    text = _TEXT | {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = Qwen2VLConfig(text_config=text, vision_config=_VISION, tie_word_embeddings=True, **ids)
    model = Qwen2VLForConditionalGeneration(config)
    _initialize(model)
    return model


_TOKEN_FIELDS: Final = {
    "image_token_id": IMAGE_PAD,
    "video_token_id": VIDEO_PAD,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}


def _initialize(model: nn.Module) -> None:
    """Normal weights scaled by fan-in: the class's own suit a far greater width, and are too small to learn here."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=fan_in**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, nn.Embedding):  # last, because one is tied to a linear layer
            nn.init.normal_(module.weight, std=WIDTH**-0.5)


def build_image_processor() -> Any:
    """Qwen2-VL's image processor, without torchvision; it resizes every image to about the area of the training images.

    The bounds leave some room around that area: without it, rounding would make most squares one cell larger or
    smaller.
    """
    min_pixels, max_pixels = (int(SIDE) - _AREA_ROOM) ** 2, (int(SIDE) + _AREA_ROOM) ** 2
    return Qwen2VLImageProcessorPil(
        min_pixels=min_pixels, max_pixels=max_pixels, patch_size=PATCH, merge_size=MERGE, temporal_patch_size=2
    )


def patches_of(pixels: torch.Tensor, processor: Any) -> torch.Tensor:
    """What the image processor returns for images of native size, computed in torch for a whole batch.

    Args:
        pixels: (B, SIDE, SIDE, 3), uint8.
        processor: has the mean and the standard deviation of each channel.

    Returns:
        (B * GRID * GRID, 3 * 2 * PATCH * PATCH), float32, in the processor's order: the patches of a merged cell
        are adjacent, each ordered by channel, frame, row, column.
    """
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    values = (pixels.float() / 255.0 - mean) / std
    half = GRID // MERGE
    cut = values.view(-1, half, MERGE, PATCH, half, MERGE, PATCH, 3)
    cut = cut.permute(0, 1, 4, 2, 5, 7, 3, 6)  # (B, cell row, cell column, row, column, channel, y, x)
    frames = cut.unsqueeze(6).expand(*cut.shape[:6], 2, PATCH, PATCH)
    return frames.reshape(-1, 3 * 2 * PATCH * PATCH)


class LinearPatchEmbed(nn.Module):
    """The model's patch embedding as a matrix product, which here is five times faster than torch's 3-D convolution.

    The convolution keeps its name, so that the weights are saved under the architecture's names.
    """

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, 3 * 2 * PATCH * PATCH) to (N, width)."""
        return functional.linear(patches, self.proj.weight.flatten(1))
