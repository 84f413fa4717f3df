"""Saves a trained model in the format of transformers."""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration

from services.matcha.patches import PATCH_PIXELS
from services.training.shared.folder import save_pretrained
from services.training.tiny_matcha.model.network import MAX_PATCHES
from services.training.tiny_matcha.model.tokenizer import as_pretrained

MAX_NEW_TOKENS = 16


def save_model(network: Pix2StructForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """Write weights, configurations and tokenizer."""
    save_pretrained(
        network,
        as_pretrained(tokenizer),
        folder,
        num_beams=1,
        max_new_tokens=MAX_NEW_TOKENS,
        decoder_start_token_id=network.config.decoder_start_token_id,
    )
    _name_tokenizer_for_every_version(folder / "tokenizer_config.json")
    preprocessor = {
        "image_processor_type": "Pix2StructImageProcessor",
        "processor_class": "Pix2StructProcessor",
        "is_vqa": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "max_patches": MAX_PATCHES,
        "patch_size": {"height": PATCH_PIXELS, "width": PATCH_PIXELS},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="utf-8")


def _name_tokenizer_for_every_version(path: Path) -> None:
    """Name the class as transformers 4 does, which Optimum requires; transformers 5 also knows that name."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
