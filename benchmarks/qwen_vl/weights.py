"""A Qwen2-VL of the 2B model's size with random weights: it answers nonsense, as fast as the real one.

The sizes are those of the published configuration (hidden size 1536, 28 layers, 12 heads with 2 for keys and values, a
vocabulary of 151,936, and a vision tower of 32 layers). The tokenizer is the embedded model's, since the text of a
random model does not matter.
"""

from pathlib import Path
from typing import Final

import torch
from transformers import AutoTokenizer, GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from services.common.artifact.manifest import QWEN2_VL, Source
from services.common.artifact.writer import whole_folder
from services.common.settings import MODELS
from services.training.shared.folder import seal_trained

TOKENIZER: Final = MODELS / "tiny-qwen2-vl"
SOURCE: Final = Source(id="tallyglass/random-qwen2-vl-2b", revision="seed-0")
_MIN_PIXELS: Final = 3136
_MAX_PIXELS: Final = 1_003_520
_SHARD: Final = "4GB"
"""Two shards, as on the hub."""

_TEXT: Final = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "vocab_size": 151936,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]},
}
_VISION: Final = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 1536,
    "num_heads": 16,
    "mlp_ratio": 4,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_TOKEN_FIELDS: Final = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}


def write_model(folder: Path, seed: int = 0) -> None:
    """Write the model (4.4 GB, bf16) with its tokenizer, image processor and manifest, atomically."""
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _TOKEN_FIELDS.items()}
    text = _TEXT | {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(seed)
    config = Qwen2VLConfig(text_config=text, vision_config=_VISION, tie_word_embeddings=True, **ids)
    config.dtype = torch.bfloat16
    model = Qwen2VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)  # noqa: SLF001 no public API sets the dtype
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with whole_folder(folder) as fresh:
        model.save_pretrained(fresh, max_shard_size=_SHARD)
        tokenizer.save_pretrained(fresh)
        Qwen2VLImageProcessorPil(min_pixels=_MIN_PIXELS, max_pixels=_MAX_PIXELS).save_pretrained(fresh)
        seal_trained(fresh, QWEN2_VL, SOURCE)
