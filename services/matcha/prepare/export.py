"""Export MatCha as ONNX graphs with the file and tensor names of Optimum's exporter, and all axes dynamic.

The graphs are exported from transformers' SDPA model at opset 23, so that ONNX Runtime and OpenVINO get one
``Attention`` and one ``RMSNormalization`` node per layer instead of the dozen that a tracing exporter writes. In
addition to Optimum's three files, ``cross_attention_model.onnx`` computes the keys and values of the encoder's states
that every decoding step attends to: with it, the first step needs no separate graph, and the decoder's weights are in
memory only once.
"""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import onnx_ir as ir
import torch
from torch import nn
from transformers import Pix2StructForConditionalGeneration
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from services.matcha.backends.onnx_names import (
    CROSS_ATTENTION,
    DECODER,
    DECODER_WITH_PAST,
    ENCODER,
    MASK,
    PATCHES,
    STATES,
    past_names,
)
from services.matcha.patches import ROW_LENGTH

OPSET = 23
_SMALL_BYTES = 1024
_BATCH, _PATCHES, _PAST = 2, 13, 3
"""Sizes of the example inputs; 0 and 1 would be treated as fixed."""

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class GraphExport:
    """A graph to export: a module, its example inputs by name with their dynamic axes, and its output names."""

    name: str
    module: nn.Module
    inputs: dict[str, torch.Tensor]
    axes: list[dict[int, str]]
    outputs: list[str]


@torch.no_grad()  # with gradients, attention would be decomposed
def export(graph: GraphExport, folder: Path, weights: "WeightsFile") -> None:
    """Write one graph into a folder, and its weights into the file that all graphs in the folder share."""
    examples = tuple(tensor.clone() for tensor in graph.inputs.values())  # the same tensor twice would become one input
    program = torch.onnx.export(
        graph.module.eval(),
        (examples,),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=list(graph.inputs),
        output_names=graph.outputs,
        dynamic_shapes=[tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in graph.axes)],
    )
    if program is None:
        message = "torch.onnx.export returned no program"
        raise RuntimeError(message)
    _tidy(program.model, graph)
    weights.take(program.model)
    ir.save(program.model, folder / graph.name)


def graphs(model: Pix2StructForConditionalGeneration) -> Iterator[GraphExport]:
    """The four graphs of a model in evaluation mode with SDPA attention."""
    text = model.config.text_config
    layers, batch, patches, past = text.num_layers, {0: "batch_size"}, "encoder_sequence_length", "past_length"
    mask = torch.ones(_BATCH, _PATCHES, dtype=torch.long)
    seen = torch.zeros(_BATCH, _PATCHES, text.hidden_size)
    ids = torch.ones(_BATCH, _PAST, dtype=torch.long)
    masked, written = {**batch, 1: patches}, {**batch, 1: "decoder_sequence_length"}
    yield GraphExport(
        ENCODER,
        Encoder(model),
        {PATCHES: torch.ones(_BATCH, _PATCHES, ROW_LENGTH), MASK: mask},
        [masked, masked],
        [STATES],
    )
    cross = past_names("present", layers, "encoder")
    yield GraphExport(CROSS_ATTENTION, CrossAttention(model), {"encoder_hidden_states": seen}, [masked], cross)
    yield GraphExport(
        DECODER,
        FirstStep(model),
        {"encoder_attention_mask": mask, "input_ids": ids, MASK: ids, "encoder_hidden_states": seen},
        [masked, written, written, masked],
        ["logits", *past_names("present", layers, "decoder", "encoder")],
    )
    lengths = {"decoder": _PAST, "encoder": _PATCHES}
    names = past_names("past_key_values", layers, "decoder", "encoder")
    states = {name: torch.zeros(_BATCH, text.num_heads, lengths[name.split(".")[2]], text.d_kv) for name in names}
    yield GraphExport(
        DECODER_WITH_PAST,
        NextStep(model),
        {
            "encoder_attention_mask": mask,
            "input_ids": ids[:, :1],
            MASK: torch.ones(_BATCH, _PAST + 1, dtype=torch.long),
            **states,
        },
        [masked, batch, {**batch, 1: "total_length"}]
        + [{**batch, 2: past if ".decoder." in name else patches} for name in names],
        ["logits", *past_names("present", layers, "decoder")],
    )


class WeightsFile:
    """One file for the weights of several graphs: equal tensors are stored once, page-aligned for memory mapping."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        path.touch()

    def take(self, model: ir.Model) -> None:
        """Move a model's weights into the file; small ones stay in the graph, where a runtime can fold them."""
        for value in model.graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < _SMALL_BYTES:
                continue
            value.const_value = ir.ExternalTensor(
                location=self._path.name,
                offset=self._offset_of(tensor),
                length=tensor.nbytes,
                dtype=tensor.dtype,
                shape=ir.Shape(tensor.numpy().shape),
                name=str(value.name),
                base_dir=self._path.parent,
            )

    def _offset_of(self, tensor: ir.TensorProtocol) -> int:
        content = tensor.tobytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._offsets:
            with self._path.open("ab") as file:
                file.write(bytes(-file.tell() % mmap.PAGESIZE))
                self._offsets[digest] = file.tell()
                file.write(content)
        return self._offsets[digest]


class Encoder(nn.Module):
    """Patches (B, P, 770) and their mask (B, P) to states (B, P, hidden)."""

    def __init__(self, model: Pix2StructForConditionalGeneration) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, inputs: Tensors) -> torch.Tensor:
        """See the class."""
        patches, mask = inputs
        states: torch.Tensor = self.encoder(flattened_patches=patches, attention_mask=mask).last_hidden_state
        return states


class CrossAttention(nn.Module):
    """States (B, P, hidden) to the keys and values (B, heads, P, d_kv) of every decoder layer."""

    def __init__(self, model: Pix2StructForConditionalGeneration) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([layer.encoder_decoder_attention.attention for layer in model.decoder.layer])

    def forward(self, inputs: Tensors) -> Tensors:
        """See the class."""
        (states,) = inputs
        return tuple(
            projection(states).unflatten(2, (attention.n_heads, -1)).transpose(1, 2)
            for attention in self.attentions
            for projection in cast("tuple[nn.Module, nn.Module]", (attention.key, attention.value))
        )


class FirstStep(nn.Module):
    """The tokens so far to logits and to all keys and values, in the order of ``past_names``."""

    def __init__(self, model: Pix2StructForConditionalGeneration) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, inputs: Tensors) -> Tensors:
        """See the class."""
        encoder_mask, input_ids, mask, states = inputs
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        logits = self.decoder(
            input_ids=input_ids,
            attention_mask=mask,
            encoder_hidden_states=states,
            encoder_attention_mask=encoder_mask,
            past_key_values=cache,
            use_cache=True,
        ).logits
        pairs = zip(cache.self_attention_cache.layers, cache.cross_attention_cache.layers, strict=True)
        return (logits, *(state for own, cross in pairs for state in (own.keys, own.values, cross.keys, cross.values)))


class NextStep(nn.Module):
    """The next token and all past keys and values to logits and the decoder's updated keys and values."""

    def __init__(self, model: Pix2StructForConditionalGeneration) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, inputs: Tensors) -> Tensors:
        """See the class."""
        encoder_mask, input_ids, mask, *states = inputs
        own, cross = DynamicCache(), DynamicCache()
        for layer in range(len(states) // 4):
            own.update(states[4 * layer], states[4 * layer + 1], layer)
            cross.update(states[4 * layer + 2], states[4 * layer + 3], layer)
        logits = self.decoder(
            input_ids=input_ids,
            attention_mask=mask,
            encoder_hidden_states=states[2],  # only enables cross-attention; keys and values come from the cache
            encoder_attention_mask=encoder_mask,
            past_key_values=EncoderDecoderCache(own, cross),
            use_cache=True,
        ).logits
        return (logits, *(state for layer in own.layers for state in (layer.keys, layer.values)))


def _tidy(model: ir.Model, graph: GraphExport) -> None:
    """Name the dynamic axes, and drop the exporter's metadata, which is larger than the graph and contains paths."""
    for value, axes in zip(model.graph.inputs, graph.axes, strict=True):
        if value.shape is not None:
            value.shape = ir.Shape([axes.get(index, dim) for index, dim in enumerate(value.shape)])
    for value in model.graph.outputs:
        if value.shape is not None:
            value.shape = ir.Shape(
                [dim if isinstance(dim, int) else f"{value.name}.{axis}" for axis, dim in enumerate(value.shape)]
            )
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
