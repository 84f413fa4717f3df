import pytest
import torch
from PIL import Image

from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import LinearPatchEmbed, build_image_processor


def test_the_linear_patch_embedding_is_the_convolution(fresh: Model) -> None:
    original, patches = fresh.network.model.visual.patch_embed, torch.randn(5, 1176)
    assert torch.allclose(LinearPatchEmbed(original.proj)(patches), original(patches), atol=1e-4)


@pytest.mark.parametrize("side", [28, 56, 90, 100, 112, 113, 126, 150, 224, 300, 512, 1000])
def test_a_square_of_any_size_becomes_the_trained_grid(side: int) -> None:
    grid = build_image_processor()(images=[Image.new("RGB", (side, side))], return_tensors="pt")["image_grid_thw"]
    assert grid.tolist() == [[1, 8, 8]]
