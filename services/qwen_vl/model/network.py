"""The network in one variant: encode an image, prefill a prompt, decode one step for a batch of answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import BitsAndBytesConfig, DynamicCache, Qwen2VLForConditionalGeneration
from transformers.activations import QuickGELUActivation
from transformers.utils import logging

from services.common.artifact.manifest import require_tensors
from services.common.artifact.reading import readable
from services.common.isolation import checkpoint
from services.qwen_vl.lens.states import StateTap
from services.qwen_vl.model.prompt import Prompt
from services.qwen_vl.settings import Device, Variant
from services.torch_cpu.attention import BLOCKED
from services.torch_cpu.linear import can_pack, replace_linears

_DTYPES: dict[Variant, torch.dtype] = {"fp32": torch.float32}
"""Dtype of unquantized weights; bfloat16 for the other variants."""
_UNQUANTIZED = ["lm_head", "model.visual"]
"""The output head, through which the lens reads every layer, and the vision tower, whose errors affect all layers."""


@dataclass(slots=True)
class Sequence:
    """Decoding state of one answer: its keys and values, and its next input token."""

    cache: Any  # DynamicCache of batch 1
    position: int  # of the next token
    token_id: int


class PatchProjection(nn.Module):
    """The patch embedding as a matrix product; PyTorch's equivalent 3-D convolution is several times slower."""

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, 1176) to (N, width)."""
        return functional.linear(patches.to(self.proj.weight.dtype), self.proj.weight.flatten(1))


class InPlaceQuickGELU(nn.Module):
    """``x · sigmoid(1.702 x)``, bit-identical to transformers but with one temporary tensor instead of three."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width) to (N, width); ``x`` itself is not modified."""
        return (1.702 * x).sigmoid_().mul_(x)


def load(folder: Path, variant: Variant, device: Device) -> Any:  # noqa: ANN401 transformers has no type hints that mypy reads
    """Load a model folder in a variant onto a device, with the layers that compute fastest there."""
    model = read_weights(folder, variant, device)
    model.model.visual.patch_embed = PatchProjection(model.model.visual.patch_embed.proj)
    for block in model.model.visual.blocks:
        if isinstance(block.mlp.act, QuickGELUActivation):
            block.mlp.act = InPlaceQuickGELU()
    if variant != "fp32" and device == "cpu":
        if can_pack():
            model.model.visual.set_attn_implementation(BLOCKED)
        replace_linears(model)
    return model


def read_weights(folder: Path, variant: Variant, device: Device) -> Any:  # noqa: ANN401 as above
    """Read a model folder in a variant as transformers has it; weights are quantized unless the folder's are.

    Raises:
        ManifestError: the folder cannot be read, or the weights lack a tensor, which transformers would make up.
        LoadError: the machine lacks the memory or the GPU.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it would print a table of the tensors that are refused below
    quantization = {
        "int8": {"load_in_8bit": True, "llm_int8_skip_modules": _UNQUANTIZED},
        "nf4": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
            "llm_int8_skip_modules": _UNQUANTIZED,
        },
    }.get(variant)
    with readable("config.json", folder):
        quantized = "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    options = {"quantization_config": BitsAndBytesConfig(**quantization)} if quantization and not quantized else {}
    with readable("the model", folder):
        model, found = Qwen2VLForConditionalGeneration.from_pretrained(
            folder,
            dtype=_DTYPES.get(variant, torch.bfloat16),
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            device_map={"": device},
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    require_tensors(folder, found["missing_keys"], [name for name, *_ in found["mismatched_keys"]])
    return model.eval()


class Network:
    """Runs the model for inference; outputs are on the model's device."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 see load
        self.model = model
        self.text = model.model.language_model
        self.num_layers: int = model.config.text_config.num_hidden_layers
        self.max_positions: int = model.config.text_config.max_position_embeddings
        self._tap = StateTap(self.text.layers)
        for layer in (*model.model.visual.blocks, *self.text.layers):
            layer.register_forward_pre_hook(checkpoint)

    @property
    def device(self) -> torch.device:
        """The model's device."""
        device: torch.device = self.text.embed_tokens.weight.device
        return device

    def encode(self, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Encode one image's patches (N, 1176) to features (tokens, hidden)."""
        output = self.model.model.visual(patches.to(self.device), grid_thw=torch.tensor([[1, *grid]]).to(self.device))
        features: torch.Tensor = output.pooler_output
        return features

    def positions(self, prompt: Prompt) -> torch.Tensor:
        """Rotary positions (3, 1, T): frame, row and column in an image, three equal numbers in text."""
        if not prompt.spans:
            return torch.arange(prompt.tokens).expand(3, 1, -1)
        positions: torch.Tensor = self.model.model.get_rope_index(
            prompt.input_ids, mm_token_type_ids=prompt.mm_token_type_ids, image_grid_thw=prompt.image_grid_thw
        )[0]
        return positions

    def prefill(
        self,
        prompt: Prompt,
        features: list[torch.Tensor],
        prefix: torch.Tensor | None,
        tapped: list[int] | None,
    ) -> tuple[Sequence, torch.Tensor, list[torch.Tensor]]:
        """Run the part of a prompt after a cached prefix.

        Args:
            prompt: the whole prompt.
            features: features of the images after the prefix.
            prefix: keys and values (layers, 2, heads, T', head) of the first T' tokens.
            tapped: positions at which to record states, relative to the end of the prefix.

        Returns:
            The sequence to decode, its next token not yet picked; float32 logits (vocabulary); states
            (1, positions, hidden) per layer, empty if none are recorded.
        """
        start = 0 if prefix is None else prefix.shape[3]
        cache = DynamicCache() if prefix is None else DynamicCache([(kv[0][None], kv[1][None]) for kv in prefix])
        embeds = self.text.embed_tokens(prompt.input_ids[:, start:].to(self.device))
        if features:
            imaged = prompt.mm_token_type_ids[0, start:].bool().to(self.device)
            embeds[0, imaged] = torch.cat(features)
        positions = self.positions(prompt)
        with self._tap.at(tapped) as states:
            output = self.text(
                inputs_embeds=embeds,
                position_ids=positions[:, :, start:].to(self.device),
                past_key_values=cache,
                use_cache=True,
            )
        logits = self.model.lm_head(output.last_hidden_state[0, -1:])[0].float()
        return Sequence(cache, int(positions.max()) + 1, -1), logits, states

    def decode(self, rows: list[Sequence], *, tap: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Decode one step: float32 logits (rows, vocabulary), and states (rows, 1, hidden) per layer with ``tap``."""
        cache, mask = (rows[0].cache, None) if len(rows) == 1 else _side_by_side(rows)
        token_ids = torch.tensor([[row.token_id] for row in rows], device=self.device)
        positions = torch.tensor([[row.position] for row in rows], device=self.device).expand(3, -1, -1)
        with self._tap.at([-1] if tap else None) as states:
            output = self.text(
                inputs_embeds=self.text.embed_tokens(token_ids),
                position_ids=positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
            )
        for index, row in enumerate(rows):
            row.position += 1
            if mask is not None:
                _take_last(cache, index, row.cache)
        logits: torch.Tensor = self.model.lm_head(output.last_hidden_state[:, -1]).float()
        return logits, states


def keys_and_values(cache: Any, end: int) -> torch.Tensor:  # noqa: ANN401 transformers' cache
    """Copy the first ``end`` positions of a cache of batch 1 to one contiguous tensor (layers, 2, heads, end, head)."""
    return torch.stack([torch.stack([layer.keys[0, :, :end], layer.values[0, :, :end]]) for layer in cache.layers])


def _side_by_side(rows: list[Sequence]) -> tuple[Any, torch.Tensor]:
    """Batch caches of different lengths, left-padded with zeros, with the mask (rows, longest + 1) over them."""
    lengths = [row.cache.get_seq_length() for row in rows]
    longest = max(lengths)
    caches = [row.cache for row in rows]

    def stacked(name: str, layer: int) -> torch.Tensor:
        parts = [getattr(cache.layers[layer], name) for cache in caches]
        return torch.cat([functional.pad(part, (0, 0, longest - part.shape[2], 0)) for part in parts])

    together = DynamicCache(
        [(stacked("keys", layer), stacked("values", layer)) for layer in range(len(caches[0].layers))]
    )
    device = caches[0].layers[0].keys.device
    columns = torch.arange(longest + 1, device=device)
    return together, (columns >= longest - torch.tensor(lengths, device=device)[:, None]).long()


def _take_last(together: Any, index: int, own: Any) -> None:  # noqa: ANN401 transformers' caches
    """Append the step's new keys and values of one row to that row's own cache."""
    for number, layer in enumerate(together.layers):
        own.update(layer.keys[index : index + 1, :, -1:], layer.values[index : index + 1, :, -1:], number)
