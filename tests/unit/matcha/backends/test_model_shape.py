"""What decoding knows of a model: what its configuration files say, and transformers' defaults for the rest."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from services.matcha.backends.model_shape import ModelShape

TEXT: Final = {"num_layers": 3, "num_heads": 2, "d_kv": 5, "decoder_start_token_id": 7, "eos_token_id": 9}
VISION: Final = {"seq_len": 40, "num_attention_heads": 4, "d_kv": 6}
SAID: Final = ModelShape(
    positions=40,
    layers=3,
    heads=2,
    head_width=5,
    encoder_heads=4,
    encoder_head_width=6,
    start_token_id=7,
    end_token_ids=(9,),
    pad_token_id=0,
)


@pytest.mark.parametrize(
    ("generation", "changes"),
    [
        (None, {}),
        ({"eos_token_id": 2}, {"end_token_ids": (2,)}),
        ({"eos_token_id": [2, 9]}, {"end_token_ids": (2, 9)}),
        ({"decoder_start_token_id": 3, "pad_token_id": 8}, {"start_token_id": 3, "pad_token_id": 8}),
        ({"decoder_start_token_id": None, "eos_token_id": None, "num_layers": 8}, {}),
    ],
)
def test_it_is_the_configurations(generation: dict[str, Any] | None, changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": TEXT, "vision_config": VISION}))
    if generation:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert ModelShape.read(tmp_path) == replace(SAID, **changes)


@pytest.mark.parametrize("config", [{}, {"text_config": None}, {"text_config": {"pad_token_id": None}}])
def test_what_is_not_said_is_as_in_transformers(config: dict[str, Any], tmp_path: Path) -> None:
    """Version 4 saved only what differs, and MatCha as published differs in nothing."""
    from transformers import Pix2StructConfig  # noqa: PLC0415 torch, which the others need not wait for

    (tmp_path / "config.json").write_text(json.dumps(config))
    text, vision = Pix2StructConfig().text_config, Pix2StructConfig().vision_config
    assert ModelShape.read(tmp_path) == ModelShape(
        positions=vision.seq_len,
        layers=text.num_layers,
        heads=text.num_heads,
        head_width=text.d_kv,
        encoder_heads=vision.num_attention_heads,
        encoder_head_width=vision.d_kv,
        start_token_id=text.decoder_start_token_id,
        end_token_ids=(text.eos_token_id,),
        pad_token_id=text.pad_token_id,
    )
