"""The engine on the embedded model against plain transformers calls."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from transformers import Qwen2VLForConditionalGeneration

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.lens import Lens, LensMismatchError
from services.qwen_vl.settings import Variant
from services.qwen_vl.values import PictureQuestion

FOLDER = Path(__file__).parents[3] / "models/tiny-qwen2-vl"
QUESTIONS = ["How many shapes are there?", "How many red shapes are there?", "图中有几个图形？"]


def scene(count: int) -> Image.Image:
    picture = Image.new("RGB", (112, 112), "white")
    for index in range(count):
        left = 8 + 34 * (index % 3)
        top = 8 + 40 * (index // 3)
        ImageDraw.Draw(picture).ellipse((left, top, left + 20, top + 20), fill="red")
    return picture


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def variant(request: pytest.FixtureRequest) -> Variant:
    name: Variant = request.param
    return name


@pytest.fixture(scope="module")
def engine(variant: Variant) -> VisionQA:
    return VisionQA(FOLDER, variant, max_pixels=1_003_520, threads=1)


def test_answers_and_lens_are_those_of_plain_transformers(engine: VisionQA, variant: Variant) -> None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[variant]
    model = Qwen2VLForConditionalGeneration.from_pretrained(FOLDER, dtype=dtype, attn_implementation="eager").eval()
    norm, head = model.model.language_model.norm, model.lm_head
    for count, text in enumerate(QUESTIONS):
        prompt = engine.prompts.build(scene(count), text)
        with torch.inference_mode():
            output = model(
                input_ids=prompt.input_ids,
                mm_token_type_ids=prompt.mm_token_type_ids,
                pixel_values=prompt.pixel_values.to(dtype),
                image_grid_thw=prompt.image_grid_thw,
                output_hidden_states=True,
            )
            states = [state[0, -1] for state in output.hidden_states]
            plain = [head(norm(state)).float().softmax(-1) for state in states[:-1]]
        own = output.logits[0, -1].float().softmax(-1)
        answer = engine.answer(PictureQuestion(scene(count), text, max_new_tokens=4, lens_top_k=3))
        assert answer.token_ids[0] == int(own.argmax())
        assert answer.lens is not None
        tolerance = 1e-4 if variant == "fp32" else 0.05  # eager and fused attention round differently
        for reading, probs in zip(answer.lens, [*plain, own], strict=True):
            assert reading.probs[0] == pytest.approx(float(probs.max()), abs=tolerance)
            assert reading.answer_prob == pytest.approx(float(probs[answer.token_ids[0]]), abs=tolerance)
        if variant == "fp32":
            ids = [reading.token_ids[0] for reading in answer.lens]
            assert ids == [int(probs.argmax()) for probs in [*plain, own]]


def test_a_lens_does_not_change_the_answer(engine: VisionQA) -> None:
    for count, text in enumerate(QUESTIONS):
        without = engine.answer(PictureQuestion(scene(count), text, max_new_tokens=4))
        with_lens = engine.answer(PictureQuestion(scene(count), text, max_new_tokens=4, lens_top_k=5))
        assert without.lens is None
        assert (without.token_ids, without.finish_reason) == (with_lens.token_ids, "stop")


def test_the_lens_is_checked_when_the_model_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lens that norms the last state once more would show numbers that are not the model's: no service with it."""

    def normed_twice(self: Lens, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(self._norm(states))
        return logits.float()

    monkeypatch.setattr(Lens, "logits", normed_twice)
    with pytest.raises(LensMismatchError):
        VisionQA(FOLDER, "fp32", max_pixels=1_003_520, threads=1)
