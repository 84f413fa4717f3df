"""Sizes and special tokens of a model, from the configuration files in its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from services.common.artifact.reading import readable

_TEXT: Final = {
    "num_layers": 12,
    "num_heads": 12,
    "d_kv": 64,
    "decoder_start_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
_VISION: Final = {"seq_len": 4096, "num_attention_heads": 12, "d_kv": 64}
"""Defaults of transformers, which until version 5 saved only what differs from them."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decoding must know of a model; of ``generation_config.json`` that is the special tokens alone.

    An answer ends with any of ``end_token_ids``.
    """

    positions: int
    layers: int
    heads: int
    head_width: int
    encoder_heads: int
    encoder_head_width: int
    start_token_id: int
    end_token_ids: tuple[int, ...]
    pad_token_id: int

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``config.json``, with the token ids in ``generation_config.json`` taking precedence.

        Raises:
            ManifestError: one of them is missing or is not JSON.
        """
        config = _json(folder / "config.json")
        generation = folder / "generation_config.json"
        tokens = _json(generation) if generation.is_file() else {}
        text = _TEXT | _given(config.get("text_config"))
        vision = _VISION | _given(config.get("vision_config"))
        tokens = text | _given(tokens)
        ends: int | list[int] = tokens["eos_token_id"]
        return cls(
            positions=vision["seq_len"],
            layers=text["num_layers"],
            heads=text["num_heads"],
            head_width=text["d_kv"],
            encoder_heads=vision["num_attention_heads"],
            encoder_head_width=vision["d_kv"],
            start_token_id=tokens["decoder_start_token_id"],
            end_token_ids=(ends,) if isinstance(ends, int) else tuple(ends),
            pad_token_id=tokens["pad_token_id"],
        )


def _json(path: Path) -> dict[str, Any]:
    with readable(path.name, path.parent):
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    return values


def _given(values: dict[str, Any] | None) -> dict[str, Any]:
    """The values that are not null, which transformers writes for what is not set."""
    return {name: value for name, value in (values or {}).items() if value is not None}
