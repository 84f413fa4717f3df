"""What the network computes in another way than transformers does."""

import pytest
import torch
from transformers.activations import QuickGELUActivation

from services.qwen_vl.network import InPlaceQuickGELU, load
from tests.unit.qwen_vl.conftest import FOLDER


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_activation_is_that_of_transformers_to_the_bit(dtype: torch.dtype) -> None:
    x = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).mul(4).to(dtype)
    before = x.clone()
    assert torch.equal(InPlaceQuickGELU()(x), QuickGELUActivation()(x))
    assert torch.equal(x, before)


def test_the_vision_tower_has_it() -> None:
    model = load(FOLDER, "fp32", "cpu")
    assert all(isinstance(block.mlp.act, InPlaceQuickGELU) for block in model.model.visual.blocks)
