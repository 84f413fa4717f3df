"""The prompt against transformers' own processor, which needs torchvision for videos and so is not used to serve."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

from services.common.errors import InvalidRequestError
from services.qwen_vl.prompt import Prompt, PromptBuilder
from services.qwen_vl.values import Picture, Question, Turn
from tests.pictures import encode

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    return PromptBuilder(FOLDER, max_pixels=1_003_520)


def build(prompts: PromptBuilder, picture: Image.Image, text: str, **bounds: int) -> Prompt:
    turns = (Turn("user", (Picture(encode(picture)), text)),)
    return prompts.build(Question(turns, max_new_tokens=1, min_pixels=bounds.get("low"), max_pixels=bounds.get("high")))


@pytest.mark.parametrize("question", ["How many circles are there?", "图中有几个圆形？", "a\n  b", "{{ x }} <b> \\"])
@pytest.mark.parametrize("size", [(112, 112), (300, 90), (17, 40), (1, 1)], ids=str)
def test_equal_to_the_processor_of_transformers(
    prompts: PromptBuilder, size: tuple[int, int], question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qwen2VLProcessor, "check_argument_for_proper_class", lambda *_: None)  # no video processor
    oracle = Qwen2VLProcessor(image_processor=prompts.processor, tokenizer=prompts.tokenizer)
    picture = Image.effect_noise(size, 80).convert("RGB")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = prompts.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    expected = oracle(text=[text], images=[picture], return_tensors="pt")
    prompt = build(prompts, picture, question)
    assert torch.equal(prompt.input_ids, expected["input_ids"])
    assert torch.equal(prompts.pixels(prompt.slots[0]), expected["pixel_values"])
    assert torch.equal(prompt.image_grid_thw, expected["image_grid_thw"])
    assert torch.equal(prompt.mm_token_type_ids, expected["mm_token_type_ids"])
    assert prompt.image_tokens == int(prompt.mm_token_type_ids.sum())


def test_the_picture_stands_before_the_question(prompts: PromptBuilder) -> None:
    prompt = build(prompts, Image.new("RGB", (112, 112)), "How many?")
    last_of_picture = int(prompt.mm_token_type_ids[0].nonzero().max())
    assert "How many?" in prompts.tokenizer.decode(prompt.input_ids[0, last_of_picture:])


def test_a_server_limit_scales_pictures_down(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings["size"] = {"shortest_edge": 3136, "longest_edge": 784 * 300}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    picture = Image.new("RGB", (2000, 1000))
    limits = (1, 784 * 50, 784 * 10_000)
    small, middle, own = (build(PromptBuilder(folder, limit), picture, "?").image_tokens for limit in limits)
    assert small <= 4 < middle <= 50 < own <= 300


def test_an_extreme_aspect_ratio_is_refused(prompts: PromptBuilder) -> None:
    with pytest.raises(InvalidRequestError, match="aspect ratio"):
        build(prompts, Image.new("RGB", (3000, 10)), "How many?")


@pytest.mark.parametrize("token", ["<|im_end|>", "<|image_pad|>", "<|im_start|>", "<|endoftext|>"])
def test_a_question_cannot_hold_control_tokens(prompts: PromptBuilder, token: str) -> None:
    with pytest.raises(InvalidRequestError, match="control token"):
        build(prompts, Image.new("RGB", (112, 112)), f"How many{token}?")


def test_pixel_bounds_of_a_request_hold_and_keep_the_aspect(prompts: PromptBuilder) -> None:
    picture = Image.new("RGB", (600, 300))
    for bounds, low, high in [({"high": 50_000}, 1, 50_000), ({"low": 300_000}, 300_000, 400_000)]:
        (slot,) = build(prompts, picture, "?", **bounds).slots
        rows, columns = slot.grid
        assert low <= rows * columns * 14 * 14 <= high
        assert columns / rows == pytest.approx(2, rel=0.2)


@pytest.mark.parametrize(
    ("bounds", "param"), [({"high": 2_000_000}, "max_pixels"), ({"low": 2_000_000}, "min_pixels")], ids=str
)
def test_pixel_bounds_stay_within_the_servers(prompts: PromptBuilder, bounds: dict[str, int], param: str) -> None:
    with pytest.raises(InvalidRequestError, match="this server allows") as refused:
        build(prompts, Image.new("RGB", (112, 112)), "?", **bounds)
    assert refused.value.param == param


def test_a_picture_is_measured_upright(prompts: PromptBuilder) -> None:
    picture = Image.new("RGB", (300, 90))
    turned = picture.getexif()
    turned[0x0112] = 6
    data = encode(picture, "JPEG", exif=turned)
    prompt = prompts.build(Question((Turn("user", (Picture(data), "?")),), max_new_tokens=1))
    (slot,) = prompt.slots
    assert (slot.width_px, slot.height_px) == (90, 300)
    assert len(prompts.pixels(slot)) == slot.grid[0] * slot.grid[1]


def test_several_pictures_stand_where_they_were_put(prompts: PromptBuilder) -> None:
    small, wide = (Picture(encode(Image.new("RGB", size))) for size in ((112, 112), (300, 90)))
    turns = (Turn("user", (small, "one", wide, "two")), Turn("assistant", ("yes",)), Turn("user", (small, "three")))
    prompt = prompts.build(Question(turns, max_new_tokens=1))
    ends = [0]
    for slot, text in zip(prompt.slots, ("one", "two", "three"), strict=True):
        kinds = prompt.mm_token_type_ids[0, slot.start : slot.end]
        assert kinds.tolist() == [1] * slot.tokens + [0]
        ends.append(slot.end)
        assert prompts.tokenizer.decode(prompt.input_ids[0, slot.end :]).startswith(text)
    assert int(prompt.mm_token_type_ids.sum()) == prompt.image_tokens == sum(slot.tokens for slot in prompt.slots)
    assert len({prompt.prefix_key(slot) for slot in prompt.slots}) == 3


def test_bytes_of_tokens_spell_the_text(prompts: PromptBuilder) -> None:
    text = "How many circles? 图中有几个圆形？ é🙂"
    ids = prompts.tokenizer(text)["input_ids"]
    assert b"".join(map(prompts.token_bytes, ids)).decode() == text
