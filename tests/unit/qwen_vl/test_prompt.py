"""The prompt against transformers' own processor, which needs torchvision for videos and so is not used to serve."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

from services.common.errors import InvalidRequestError
from services.qwen_vl.prompt import PromptBuilder

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(FOLDER, max_pixels=1_003_520)


@pytest.mark.parametrize("question", ["How many circles are there?", "图中有几个圆形？", "a\n  b", "{{ x }} <b> \\"])
@pytest.mark.parametrize("size", [(112, 112), (300, 90), (17, 40), (1, 1)], ids=str)
def test_equal_to_the_processor_of_transformers(
    prompts: PromptBuilder, size: tuple[int, int], question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qwen2VLProcessor, "check_argument_for_proper_class", lambda *_: None)  # no video processor
    oracle = Qwen2VLProcessor(image_processor=prompts._processor, tokenizer=prompts.tokenizer)  # noqa: SLF001
    picture = Image.effect_noise(size, 80).convert("RGB")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = prompts.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    expected = oracle(text=[text], images=[picture], return_tensors="pt")
    prompt = prompts.build(picture, question)
    assert torch.equal(prompt.input_ids, expected["input_ids"])
    assert torch.equal(prompt.pixel_values, expected["pixel_values"])
    assert torch.equal(prompt.image_grid_thw, expected["image_grid_thw"])
    assert torch.equal(prompt.mm_token_type_ids, expected["mm_token_type_ids"])
    assert prompt.image_tokens == int(prompt.mm_token_type_ids.sum())


def test_the_picture_stands_before_the_question(prompts: PromptBuilder) -> None:
    prompt = prompts.build(Image.new("RGB", (112, 112)), "How many?")
    last_of_picture = int(prompt.mm_token_type_ids[0].nonzero().max())
    assert "How many?" in prompts.tokenizer.decode(prompt.input_ids[0, last_of_picture:])


def test_a_server_limit_scales_pictures_down(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["size"] = {"shortest_edge": 3136, "longest_edge": 784 * 300}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    picture = Image.new("RGB", (2000, 1000))
    limits = (1, 784 * 50, 784 * 10_000)
    small, middle, own = (PromptBuilder(folder, limit).build(picture, "?").image_tokens for limit in limits)
    assert small <= 4 < middle <= 50 < own <= 300


def test_an_extreme_aspect_ratio_is_refused(prompts: PromptBuilder) -> None:
    with pytest.raises(InvalidRequestError, match="aspect ratio"):
        prompts.build(Image.new("RGB", (3000, 10)), "How many?")


@pytest.mark.parametrize("token", ["<|im_end|>", "<|image_pad|>", "<|im_start|>", "<|endoftext|>"])
def test_a_question_cannot_hold_control_tokens(prompts: PromptBuilder, token: str) -> None:
    with pytest.raises(InvalidRequestError, match="control token"):
        prompts.build(Image.new("RGB", (112, 112)), f"How many{token}?")
