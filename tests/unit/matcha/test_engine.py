"""The engine on the embedded model against transformers' processor and model, on the bundled charts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Pix2StructForConditionalGeneration
from transformers.image_utils import SizeDict
from transformers.models.pix2struct.image_processing_pil_pix2struct import Pix2StructImageProcessorPil

from services.common.artifact.manifest import read_manifest
from services.matcha.backends import Hardware, load_backend
from services.matcha.engine import ChartQA
from services.matcha.header.fonts import load_font
from services.matcha.types import ChartAnswer, ChartQuestion
from services.wire.errors import InvalidRequestError
from tests.images import encode

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "models/tiny-matcha"
SAMPLE = ROOT / "clients/samples/realcqa"


@pytest.fixture(scope="module")
def engine() -> ChartQA:
    return ChartQA.load(FOLDER, None, "fp32", Hardware(threads=1))


def sampled_questions(count: int) -> list[tuple[Image.Image, str]]:
    pairs = []
    for path in sorted((SAMPLE / "qa").glob("*.json"))[:count]:
        block = json.loads(path.read_bytes())[-1]
        with Image.open(SAMPLE / "images" / f"{path.stem}.jpg") as image:
            pairs.append((image.convert("RGB"), block["question"]))
    assert len(pairs) == count
    return pairs


@pytest.mark.usefixtures("basic_text_layout")
def test_answers_are_those_of_transformers(engine: ChartQA) -> None:
    model = Pix2StructForConditionalGeneration.from_pretrained(FOLDER, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    processor = Pix2StructImageProcessorPil(is_vqa=True)
    font = ImageFont.load_default(36)
    assert isinstance(font, ImageFont.FreeTypeFont)
    max_patches = read_manifest(FOLDER).max_patches
    assert max_patches
    for image, question in sampled_questions(12):
        with_header = processor.render_header(
            np.asarray(image).transpose(2, 0, 1), question, font_bytes=font.font_bytes
        )
        inputs = processor._preprocess(  # noqa: SLF001 the public way fetches a font from the hub
            [with_header],
            do_normalize=True,
            max_patches=max_patches,
            patch_size=SizeDict(height=16, width=16),
            return_tensors="pt",
        )
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=32, do_sample=False, num_beams=1)
        (answer,) = engine.answer([ChartQuestion(encode(image), question, 32, max_patches)])
        assert isinstance(answer, ChartAnswer)
        assert answer.text == tokenizer.decode(ids[0], skip_special_tokens=True).strip()
        assert answer.finish_reason == "stop"


def test_a_question_that_cannot_be_answered_leaves_its_neighbours_alone() -> None:
    backend = load_backend("fp32", FOLDER, Hardware(threads=1))
    backend.positions = 20  # a model with fewer positions
    engine = ChartQA(backend, Tokenizer.from_file(str(FOLDER / "tokenizer.json")), load_font(None))
    ((image, question),) = sampled_questions(1)
    good = ChartQuestion(encode(image), question, 16, 90)
    bad = ChartQuestion(encode(Image.new("RGB", (400, 20))), "What?", max_patches=400, max_new_tokens=4)
    first, refused, last = engine.answer([good, bad, good])
    assert isinstance(refused, InvalidRequestError)
    assert isinstance(first, ChartAnswer)
    assert isinstance(last, ChartAnswer)
    assert first.text == last.text != ""
