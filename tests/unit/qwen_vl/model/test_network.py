"""What the network computes differently from transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BitsAndBytesConfig, Qwen2VLForConditionalGeneration
from transformers.activations import QuickGELUActivation

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.model.network import InPlaceQuickGELU, PatchProjection, Sequence, keys_and_values, load
from services.qwen_vl.model.prompt import Prompt
from services.qwen_vl.settings import Variant
from services.qwen_vl.types import Question, Turn
from tests.unit.qwen_vl.conftest import FOLDER, asked, marked, scene


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_activation_is_that_of_transformers_to_the_bit(dtype: torch.dtype) -> None:
    x = torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).mul(4).to(dtype)
    before = x.clone()
    assert torch.equal(InPlaceQuickGELU()(x), QuickGELUActivation()(x))
    assert torch.equal(x, before)


def test_the_vision_tower_has_it() -> None:
    model = load(FOLDER, "fp32", "cpu")
    assert all(isinstance(block.mlp.act, InPlaceQuickGELU) for block in model.model.visual.blocks)


def test_the_patch_embedding_is_the_convolution_that_it_was() -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 5, kernel_size=(2, 14, 14), stride=(2, 14, 14), bias=False)
    patches = torch.randn(4, 1176)
    expected = conv(patches.view(4, 3, 2, 14, 14)).view(4, 5)
    assert torch.allclose(PatchProjection(conv)(patches), expected, atol=1e-5)
    assert PatchProjection(conv.to(torch.bfloat16))(patches).dtype == torch.bfloat16


@pytest.mark.parametrize(("variant", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_variant_computes_in_its_own_form(variant: Variant, dtype: torch.dtype) -> None:
    model = load(FOLDER, variant, "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert type(model.model.visual.patch_embed) is PatchProjection


@pytest.mark.parametrize(
    ("variant", "quantized"),
    [
        ("bf16", {}),
        ("int8", {"load_in_8bit": True}),
        ("nf4", {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}),
    ],
)
def test_a_quantized_variant_keeps_the_head_and_the_vision_tower_as_they_are(
    variant: Variant, quantized: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    plain = Qwen2VLForConditionalGeneration.from_pretrained

    def unquantized(folder: Path, quantization_config: BitsAndBytesConfig | None = None, **options: object) -> Any:
        told.update(options, quantization=quantization_config)
        return plain(folder, **options)

    monkeypatch.setattr(Qwen2VLForConditionalGeneration, "from_pretrained", unquantized)
    load(FOLDER, variant, "cpu")
    kept = {"llm_int8_skip_modules": ["lm_head", "model.visual"]}
    expected = BitsAndBytesConfig(**quantized, **kept).to_dict() if quantized else None
    assert (told["quantization"] and told["quantization"].to_dict()) == expected
    assert (told["dtype"], told["device_map"]) == (torch.bfloat16, {"": "cpu"})
    assert (told["attn_implementation"], told["use_safetensors"], told["local_files_only"]) == ("sdpa", True, True)


CONVERSATION = Question(
    (
        Turn("system", ("Be brief.",)),
        Turn("user", (marked((1, 4)), "How many?", marked(size=(90, 200)), "And here?")),
        Turn("assistant", ("2",)),
        Turn("user", (scene(3), "The last?")),
    ),
    max_new_tokens=1,
)


def positions_by_the_rule(prompt: Prompt) -> list[list[int]]:
    """Text positions count up; an image's tokens have its start plus row and column; then the maximum + 1."""
    frames, rows, columns = [], [], []
    following, at, spans = 0, 0, {span.start: span for span in prompt.spans}
    while at < prompt.tokens:
        span = spans.get(at)
        height, width = (span.grid[0] // 2, span.grid[1] // 2) if span else (1, 1)
        for cell in range(height * width):
            frames.append(following)
            rows.append(following + cell // width)
            columns.append(following + cell % width)
        following += max(height, width)
        at += height * width
    return [frames, rows, columns]


@pytest.mark.parametrize(
    "question",
    [CONVERSATION, asked(marked()), Question((Turn("user", ("How many?",)),), 1)],
    ids=["three", "one", "none"],
)
def test_positions_follow_the_rows_and_columns_of_every_image(engine: VisionQA, question: Question) -> None:
    prompt = engine.prompts.build(question)
    positions = engine.network.positions(prompt)
    assert positions[:, 0].tolist() == positions_by_the_rule(prompt)
    row, _, states = read(engine, question)
    assert row.position == int(positions.max()) + 1
    assert states == []


def read(
    engine: VisionQA, question: Question, tapped: list[int] | None = None
) -> tuple[Sequence, torch.Tensor, list[torch.Tensor]]:
    prompt = engine.prompts.build(question)
    with torch.inference_mode():
        features = [engine.network.encode(engine.prompts.pixels(span), span.grid) for span in prompt.spans]
        return engine.network.prefill(prompt, features, None, tapped)


@pytest.mark.parametrize("known", [0, 1, 2])
def test_behind_a_prefix_a_prompt_goes_on_as_in_one_piece(engine: VisionQA, known: int) -> None:
    prompt = engine.prompts.build(CONVERSATION)
    last = prompt.tokens - 1
    row, logits, states = read(engine, CONVERSATION, [last - 2, last])
    end = prompt.spans[known].end
    with torch.inference_mode():
        prefix = keys_and_values(row.cache, end)
        assert prefix.shape == (8, 2, 4, end, 32)
        behind = prompt.spans[known + 1 :]
        features = [engine.network.encode(engine.prompts.pixels(span), span.grid) for span in behind]
        ours, our_logits, our_states = engine.network.prefill(prompt, features, prefix, [last - 2 - end, last - end])
    assert torch.allclose(our_logits, logits, atol=1e-3)
    assert (ours.position, ours.cache.get_seq_length()) == (row.position, prompt.tokens)
    for one, other in zip(our_states, states, strict=True):
        assert one.shape == (1, 2, 128)
        assert torch.allclose(one, other, atol=1e-3)


def test_rows_of_other_lengths_go_on_side_by_side_as_each_alone(engine: VisionQA) -> None:
    questions = [asked(scene(3)), CONVERSATION, Question((Turn("user", ("How many?",)),), 1)]
    alone, together = ([read(engine, question)[0] for question in questions] for _ in range(2))
    lengths = [row.cache.get_seq_length() for row in alone]
    steps = [0, 0, 0]
    starts = [row.position for row in alone]
    assert lengths[2] < lengths[0] < lengths[1]
    for step, active in enumerate([(0, 1, 2), (0, 1, 2), (2, 0), (0,)]):
        rows = [together[one] for one in active]
        for one in active:
            together[one].token_id = alone[one].token_id = 15 + 3 * one + step
        with torch.inference_mode():
            logits, states = engine.network.decode(rows, tap=True)
            assert logits.shape == (len(active), 444)
            assert [state.shape for state in states] == [(len(active), 1, 128)] * 9
            for index, one in enumerate(active):
                steps[one] += 1
                own_logits, own_states = engine.network.decode([alone[one]], tap=True)
                assert torch.allclose(logits[index], own_logits[0], atol=1e-3)
                assert all(torch.allclose(a[index], b[0], atol=1e-3) for a, b in zip(states, own_states, strict=True))
                assert together[one].position == alone[one].position == starts[one] + steps[one]
                assert together[one].cache.get_seq_length() == alone[one].cache.get_seq_length()


def test_steps_are_what_the_prompt_with_their_tokens_would_have_been(engine: VisionQA) -> None:
    row, _, _ = read(engine, CONVERSATION)
    prompt = engine.prompts.build(CONVERSATION)
    written = [18, 20, 15]
    ids = torch.cat([prompt.input_ids, torch.tensor([written])], dim=1)
    kinds = torch.cat([prompt.mm_token_type_ids, torch.zeros(1, len(written), dtype=torch.long)], dim=1)
    with torch.inference_mode():
        features = [engine.network.encode(engine.prompts.pixels(span), span.grid) for span in prompt.spans]
        longer, expected, _ = engine.network.prefill(Prompt(ids, kinds, prompt.spans), features, None, None)
        for row.token_id in written:
            logits, states = engine.network.decode([row], tap=False)
    assert states == []
    assert torch.allclose(logits[0], expected, atol=1e-3)
    assert row.position == longer.position
