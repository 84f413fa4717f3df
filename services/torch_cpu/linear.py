"""Linear layers whose weights lie as oneDNN multiplies them, instead of being put so in every call."""

import torch
from torch import nn

_mkldnn = torch.ops.mkldnn


class PackedLinear(nn.Module):
    """An ``nn.Linear`` for inference alone, equal to it to the bit.

    A product of many rows gains a tenth to a third, and one of a single row, which is bound by reading the weights,
    takes half the time (``make bench-torch-cpu``). The operators are those that ``torch.compile`` freezes a model to
    (PyTorch's ``torch/_inductor/fx_passes/mkldnn_fusion.py``); the weight is opaque, and not in the state dict.
    """

    weight: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        packed = _mkldnn._reorder_linear_weight(linear.weight.detach())  # noqa: SLF001 how PyTorch names its operators
        self.register_buffer("weight", packed, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, in) to (…, out)."""
        product: torch.Tensor = _mkldnn._linear_pointwise(  # noqa: SLF001
            x, self.weight, self.bias, "none", [], ""
        )
        return product


def can_pack() -> bool:
    """Whether this processor, and this build of PyTorch, multiply packed weights in bfloat16."""
    return torch.backends.mkldnn.is_available() and bool(_mkldnn._is_mkldnn_bf16_supported())  # type: ignore[no-untyped-call]  # noqa: SLF001


def pack_linears(model: nn.Module) -> None:
    """Put a ``PackedLinear`` in the place of each linear layer in bfloat16 on the CPU, where ``can_pack`` says yes.

    Layers of another kind (quantized ones), dtype or device stay. Weights are not held twice, but for one that is an
    embedding too.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Linear and child.weight.dtype == torch.bfloat16 and child.weight.device.type == "cpu":
                setattr(module, name, PackedLinear(child))
    _leave_file(model)


def _leave_file(model: nn.Module) -> None:
    """Copy what was not packed: as long as one weight lies in the mapped file, all of the file stays mapped."""
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter:
            parameter.data = parameter.data.clone()
