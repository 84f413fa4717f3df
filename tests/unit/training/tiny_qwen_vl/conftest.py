import pytest
import torch

from services.training.tiny_qwen_vl.model.answering import Model
from services.training.tiny_qwen_vl.model.network import build_image_processor, build_network
from services.training.tiny_qwen_vl.model.tokenizer import build_tokenizer


@pytest.fixture(scope="package")
def fresh() -> Model:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    return Model(build_network(tokenizer).eval(), tokenizer, build_image_processor())
