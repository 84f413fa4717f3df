"""The engine on checkpoints as they are found on the hub, against transformers' own ``generate`` on the same folder."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from services.common.artifact.manifest import ManifestError
from services.qwen_vl.engine import VisionQA
from services.qwen_vl.types import ImageFile, Limits, Question, Turn
from tests.hub.layouts import LAYOUTS, Layout, write
from tests.hub.vocabulary import special_ids
from tests.hub.weights import ENDS
from tests.images import encode

pytestmark = pytest.mark.slow

PROMPTS = 10
TOKENS = 8
WORDS = ["How", "many", "bars", "are", "taller", "than", "图中", "有几个", "红色的", "圆形？", "12.5%", "1,024", "½"]
SYSTEM = "You are a helpful assistant."
PAD = "<|image_pad|>"
SMALL, LARGE = LAYOUTS[-2:]
Folders = Callable[[Layout], Path]
Answers = Callable[[Layout], list[list[int]]]


@dataclass(frozen=True)
class Case:
    """One question: noise of a random size, random words, and sometimes a system turn."""

    image: Image.Image
    text: str
    system: str | None

    def question(self) -> Question:
        """As the engine takes it."""
        first = () if self.system is None else (Turn("system", (self.system,)),)
        turn = Turn("user", (ImageFile(encode(self.image)), self.text))
        return Question((*first, turn), max_new_tokens=TOKENS)

    def prompt(self, pads: int) -> str:
        """As Qwen2-VL's documentation writes it, with a pad for each token of the image."""
        return (
            f"<|im_start|>system\n{self.system or SYSTEM}<|im_end|>\n"
            f"<|im_start|>user\n<|vision_start|>{PAD * pads}<|vision_end|>{self.text}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )


def cases() -> list[Case]:
    draw = random.Random(0)
    made = []
    for _ in range(PROMPTS):
        size = draw.randint(20, 220), draw.randint(20, 220)  # some are below the least number of pixels
        noise = Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1]))
        words = draw.choices(WORDS, k=draw.randint(1, 12))
        made.append(Case(noise, draw.choice(["", " "]).join(words), draw.choice([None, "用一个数字回答。"])))
    return made


read_tokenizer = cache(Tokenizer.from_str)  # it takes a second, and every layout has the same


def generated(folder: Path) -> list[list[int]]:
    """What transformers answers, greedily, with inputs made here."""
    tokenizer = read_tokenizer((folder / "tokenizer.json").read_text())
    processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
    model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(case: Case) -> list[int]:
        inputs: dict[str, Any] = dict(processor(images=[case.image], return_tensors="pt"))
        pads = int(inputs["image_grid_thw"].prod()) // 4
        ids = torch.tensor([tokenizer.encode(case.prompt(pads)).ids])
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=torch.eq(ids, special_ids()[PAD]).long(),
            **inputs,
            max_new_tokens=TOKENS,
            do_sample=False,
            repetition_penalty=1.0,
        )
        tokens: list[int] = output[0, ids.shape[1] :].tolist()
        return tokens

    return [answer(case) for case in cases()]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A layout's checkpoint, written once."""
    root = tmp_path_factory.mktemp("layouts")

    @cache
    def written(layout: Layout) -> Path:
        write(layout, root / layout.name)
        return root / layout.name

    return written


@pytest.fixture(scope="module")
def answers(folder_of: Folders) -> Answers:
    """The engine's answers on a layout's checkpoint, given once."""

    @cache
    def answered(layout: Layout) -> list[list[int]]:
        engine = VisionQA.load(folder_of(layout), "fp32", "cpu", 1, Limits(cache_bytes=0))  # checks the lens
        return [engine.answer(case.question()).token_ids for case in cases()]

    return answered


EACH = [pytest.param(layout, id=layout.name) for layout in LAYOUTS]


@pytest.mark.parametrize("layout", EACH)
def test_the_engine_answers_as_transformers_does(layout: Layout, folder_of: Folders, answers: Answers) -> None:
    assert answers(layout) == generated(folder_of(layout))


@pytest.mark.parametrize("layout", EACH)
def test_the_same_weights_answer_the_same_in_every_layout(layout: Layout, answers: Answers) -> None:
    plain = SMALL if layout.tied else LARGE
    for answer, reference in zip(answers(layout), answers(plain), strict=True):
        common = min(len(answer), len(reference))  # they differ in which tokens end an answer
        assert answer[:common] == reference[:common]


def test_prompts_tell_layouts_apart(answers: Answers) -> None:
    """So that equal answers mean something: they depend on the prompt, and on which tokens end an answer."""
    im_end, endoftext = (special_ids()[token] for token in ENDS)
    one_end, two_ends = answers(SMALL), answers(LARGE)
    assert len({tuple(answer) for answer in one_end}) == PROMPTS
    assert any(endoftext in answer[:-1] for answer in one_end)
    assert {answer[-1] for answer in two_ends} > {im_end, endoftext}


def test_weights_that_lack_a_tensor_are_refused_with_its_name(folder_of: Folders, tmp_path: Path) -> None:
    folder = shutil.copytree(folder_of(SMALL), tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    lost = "model.visual.blocks.1.attn.qkv.weight"
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, folder / "model.safetensors")
    with pytest.raises(
        ManifestError, match=f"lacking lack 1 tensors of the model, such as {lost}: download or prepare"
    ):
        VisionQA.load(folder, "fp32", "cpu", 1)
