"""Packed and widened linear layers against the original layers."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from services.common.settings import MODELS
from services.torch_cpu.linear import PackedLinear, WidenedLinear, can_pack, replace_linears

needs_packing = pytest.mark.skipif(not can_pack(), reason="this processor multiplies no packed bfloat16")


class Quantized(nn.Linear):
    """Stands in for a layer whose weight is not what it computes with."""


def model(dtype: torch.dtype = torch.bfloat16) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(96, 200), nn.Sequential(nn.Linear(200, 64, bias=False)), Quantized(64, 8)).to(dtype)


@needs_packing
@pytest.mark.parametrize("shape", [(1, 96), (300, 96), (2, 7, 96)])
def test_packing_changes_no_bit(shape: tuple[int, ...]) -> None:
    plain, packed = model(), model()
    replace_linears(packed)
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    with torch.inference_mode():
        assert torch.equal(packed(rows), plain(rows))


@needs_packing
def test_what_is_packed_is_what_gains() -> None:
    packed = model()
    replace_linears(packed)
    assert [type(module) for module in packed.modules() if not isinstance(module, nn.Sequential)] == [
        PackedLinear,
        PackedLinear,
        Quantized,
    ]
    single = model(torch.float32)
    replace_linears(single)
    assert not any(isinstance(module, PackedLinear) for module in single.modules())


@needs_packing
def test_nothing_of_the_weights_file_stays_mapped(tmp_path: Path) -> None:
    """It would add to the service's memory, besides the packed weights. Runs in a fresh process."""
    folder = MODELS / "tiny-qwen2-vl"
    Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(tmp_path)
    code = (
        "from pathlib import Path; from services.qwen_vl.model.network import load;"
        f"model = load(Path({str(tmp_path)!r}), 'bf16', 'cpu');"
        "print({type(module).__name__ for module in model.modules()}, Path('/proc/self/maps').read_text())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "PackedLinear" in said
    assert "libtorch" in said
    assert "model.safetensors" not in said


@pytest.mark.parametrize("shape", [(1, 1280), (15, 1280), (16, 1280), (3, 7, 1280)])
@pytest.mark.parametrize("bias", [True, False])
def test_widened_products_are_rounded_once(shape: tuple[int, ...], *, bias: bool) -> None:
    """The weights come in three blocks, the last one smaller, so that none may land in another's columns."""
    torch.manual_seed(0)
    linear = nn.Linear(1280, 1701, bias=bias, dtype=torch.bfloat16)
    rows = torch.randn(shape).to(torch.bfloat16)
    with torch.inference_mode():
        product = WidenedLinear(linear)(rows)
        exact = linear.double()(rows.double())
    assert product.shape == exact.shape
    assert product.dtype == torch.bfloat16
    # half a unit in the last of bfloat16's 8 binary places
    torch.testing.assert_close(product.double(), exact, rtol=2**-8, atol=1e-4)


@pytest.mark.skipif(can_pack(), reason="this CPU packs weights instead")
def test_without_packing_bfloat16_layers_are_widened() -> None:
    widened = model()
    replace_linears(widened)
    assert [type(module) for module in widened.modules() if not isinstance(module, nn.Sequential)] == [
        WidenedLinear,
        WidenedLinear,
        Quantized,
    ]
