"""A full-size MatCha with random weights: as slow as the real one, without a download."""

import json
import shutil
from pathlib import Path

import torch
from transformers import GenerationConfig, Pix2StructConfig, Pix2StructForConditionalGeneration

from services.common.artifact.writer import whole_folder
from services.common.settings import MODELS

_TINY = MODELS / "tiny-matcha"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def write_random_model(folder: Path, max_patches: int, seed: int = 0) -> None:
    """Write a transformers checkpoint with the sizes of ``google/matcha-base`` (282 M) and weights from the seed.

    The tokenizer is the embedded model's, since the text does not matter here.
    """
    torch.manual_seed(seed)
    text = {
        "hidden_size": 768, "num_layers": 12, "num_heads": 12, "d_kv": 64, "d_ff": 2048, "vocab_size": 50244,
        "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "is_decoder": True,
    }  # fmt: skip
    vision = {
        "hidden_size": 768, "patch_embed_hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "d_kv": 64, "d_ff": 2048, "seq_len": 4096,
    }  # fmt: skip
    model = Pix2StructForConditionalGeneration(Pix2StructConfig(text_config=text, vision_config=vision, is_vqa=True))
    model.generation_config = GenerationConfig(
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, do_sample=False
    )
    with whole_folder(folder) as fresh:
        model.save_pretrained(fresh)
        for name in _TOKENIZER:
            shutil.copyfile(_TINY / name, fresh / name)
        processor = json.loads((_TINY / "preprocessor_config.json").read_text(encoding="utf-8"))
        processor["max_patches"] = max_patches
        (fresh / "preprocessor_config.json").write_text(json.dumps(processor, indent=2), encoding="utf-8")
