"""Linear layers with weights prepacked for oneDNN, instead of being reordered in every call."""

import torch
from torch import nn

_mkldnn = torch.ops.mkldnn


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


def can_pack() -> bool:
    """Whether this CPU and PyTorch build support packed weights in bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(_mkldnn._is_mkldnn_bf16_supported())  # type: ignore[no-untyped-call]  # noqa: SLF001 PyTorch has no public name for it


def pack_linears(model: nn.Module) -> None:
    """Replace each bfloat16 linear layer on the CPU by a ``PackedLinear``; requires ``can_pack``.

    Layers of other types (quantized ones), dtypes or devices stay as they are. No weight is kept twice, except one
    tied to an embedding.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and child.weight.dtype == torch.bfloat16 and child.weight.device.type == "cpu":
                setattr(module, name, PackedLinear(child))
    _leave_file(model)


def _leave_file(model: nn.Module) -> None:
    """Copy the weights that were not packed: a single one still in the mapped file keeps the whole file mapped."""
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter:
            parameter.data = parameter.data.clone()
