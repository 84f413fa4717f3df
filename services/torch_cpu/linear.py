"""Linear layers in bfloat16: packed where the CPU multiplies bfloat16, else widened to float32 block by block."""

from typing import Final

import torch
from torch import nn
from torch.nn import functional

_mkldnn = torch.ops.mkldnn
_FEW_ROWS: Final = 16
"""Below this, widening the weights costs more than the faster product gains."""
_WIDENED: Final = 1 << 20
"""Weights widened at a time, 4 MiB in float32: they stay in the CPU cache for the product."""


class PackedLinear(nn.Module):
    """An inference-only ``nn.Linear`` with bit-identical results.

    Products of many rows gain a tenth to a third, and those of a single row, which are bound by reading the weights,
    take half the time (``make bench-torch-cpu``). The operators are the ones that ``torch.compile`` uses when it
    freezes a model (PyTorch's ``torch/_inductor/fx_passes/mkldnn_fusion.py``); the packed weight is opaque and not in
    the state dict.
    """

    weight: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        packed = _mkldnn._reorder_linear_weight(linear.weight.detach())  # noqa: SLF001 PyTorch's operator names
        self.register_buffer("weight", packed, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        product: torch.Tensor = _mkldnn._linear_pointwise(  # noqa: SLF001 PyTorch has no public name for it
            x, self.weight, self.bias, "none", [], ""
        )
        return product


class WidenedLinear(nn.Module):
    """An inference-only ``nn.Linear`` that multiplies in float32, for CPUs without products in bfloat16.

    There PyTorch's own bfloat16 product runs at a tenth of the rate of float32. Fewer than 16 rows, which are bound by
    reading the weights, are left to it. The sums are in float32, and rounded once (``make bench-torch-cpu``).
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight: torch.Tensor = linear.weight
        self.bias: torch.Tensor | None = linear.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        rows = x.reshape(-1, self.in_features)
        if len(rows) < _FEW_ROWS:
            return functional.linear(x, self.weight, self.bias)
        return self._widened(rows).view(*x.shape[:-1], self.out_features)

    def _widened(self, rows: torch.Tensor) -> torch.Tensor:
        size = max(1, _WIDENED // self.in_features)
        wide = rows.float()
        block = wide.new_empty(size, self.in_features)
        bias = wide.new_zeros(self.out_features) if self.bias is None else self.bias.float()
        product = rows.new_empty(len(rows), self.out_features)
        parts = zip(torch.split(self.weight, size), torch.split(bias, size), torch.split(product, size, 1), strict=True)
        for weights, shift, columns in parts:
            columns.copy_(functional.linear(wide, block[: len(weights)].copy_(weights), shift))
        return product


def can_pack() -> bool:
    """Whether this CPU and PyTorch build support packed weights in bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(_mkldnn._is_mkldnn_bf16_supported())  # type: ignore[no-untyped-call]  # noqa: SLF001 PyTorch has no public name for it


def replace_linears(model: nn.Module) -> None:
    """Replace each bfloat16 linear layer on the CPU by a ``PackedLinear``, or a ``WidenedLinear`` where packing fails.

    Layers of other types (quantized ones), dtypes or devices stay as they are. No packed weight is kept twice, except
    one tied to an embedding.
    """
    kind = PackedLinear if can_pack() else WidenedLinear
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and child.weight.dtype == torch.bfloat16 and child.weight.device.type == "cpu":
                setattr(module, name, kind(child))
    if kind is PackedLinear:
        _leave_file(model)


def _leave_file(model: nn.Module) -> None:
    """Copy the weights that were not packed: a single one still in the mapped file keeps the whole file mapped."""
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter:
            parameter.data = parameter.data.clone()
