"""The engine on the embedded model against plain transformers calls."""

import pytest
import torch
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from services.qwen_vl.engine import VisionQA
from services.qwen_vl.lens.readout import LogitLens
from services.qwen_vl.model.check import LensMismatchError
from services.qwen_vl.settings import Variant
from services.qwen_vl.types import LensOptions, Limits, Piece, Question, Sampling, Turn
from services.torch_cpu.linear import PackedLinear, WidenedLinear
from tests.unit.qwen_vl.conftest import FOLDER, asked, marked, scene
from tests.unit.qwen_vl.reading import plain_forward, plain_lens

TEXTS = ["How many shapes are there?", "How many red shapes are there?", "图中有几个图形？"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.mark.parametrize("variant", ["fp32", "bf16"])
def test_answers_and_lens_are_those_of_plain_transformers(variant: Variant) -> None:
    engine = VisionQA.load(FOLDER, variant, "cpu", 1, Limits(cache_bytes=0))
    model = Qwen2VLForConditionalGeneration.from_pretrained(FOLDER, dtype=DTYPES[variant], attn_implementation="eager")
    tolerance = 1e-4 if variant == "fp32" else 0.05  # eager and fused attention round differently
    for count, text in enumerate(TEXTS):
        question = asked(scene(count), text, lens=LensOptions(top_k=3, every_token=True, track=("3",)))
        answer = engine.answer(question)
        prompt, output = plain_forward(model.eval(), engine, question, answer.token_ids)
        assert answer.lens is not None
        assert [step.token_id for step in answer.lens.steps] == answer.token_ids
        tracked = engine.prompts.single_token("3")
        for number, step in enumerate(answer.lens.steps):
            layers = plain_lens(model, output, prompt.tokens - 1 + number)
            for reading, probs in zip(step.layers, layers, strict=True):
                assert reading.probs == pytest.approx(probs.topk(3).values.tolist(), abs=tolerance)
                assert reading.answer_prob == pytest.approx(float(probs[step.token_id]), abs=tolerance)
                assert reading.tracked[0][0] == pytest.approx(float(probs[tracked]), abs=tolerance)
                if variant == "fp32":
                    assert reading.token_ids == probs.topk(3).indices.tolist()
                    assert reading.answer_rank == int((probs > probs[step.token_id]).sum())
                    assert reading.tracked[0][1] == int((probs > probs[tracked]).sum())
                    assert reading.entropy == pytest.approx(float(torch.special.entr(probs).sum()), abs=1e-3)
            assert step.layers[-1].answer_rank == 0
            assert step.layers[-1].token_ids[0] == step.token_id


def test_greedy_tokens_are_those_of_transformers_generate(engine: VisionQA) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    turns = (
        Turn("system", ("Answer with a digit.",)),
        Turn("user", (marked((1, 4)), "How many shapes?", scene(2), "And here?")),
        Turn("assistant", ("2",)),
        Turn("user", (marked(size=(90, 200)), "How many red circles are there?")),
    )
    question = Question(turns, max_new_tokens=6, top_logprobs=3)
    prompt = engine.prompts.build(question)
    expected = model.generate(
        input_ids=prompt.input_ids,
        attention_mask=torch.ones_like(prompt.input_ids),
        mm_token_type_ids=prompt.mm_token_type_ids,
        pixel_values=torch.cat([engine.prompts.pixels(span) for span in prompt.spans]),
        image_grid_thw=prompt.image_grid_thw,
        max_new_tokens=6,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    started = engine.begin(question)
    while not started.ended:
        (piece,) = engine.step([started])
        assert isinstance(piece, Piece)
        started.pieces.append(piece)
    answer = engine.finish(started)
    assert answer.token_ids == expected.sequences[0, prompt.tokens :].tolist()
    for piece, logits in zip(started.pieces[:-1], expected.logits, strict=False):
        best = logits[0].log_softmax(-1).topk(3)
        assert piece.scores is not None
        assert [token_id for token_id, _ in piece.scores.top] == best.indices.tolist()
        assert [value for _, value in piece.scores.top] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert (answer.image_tokens, answer.prompt_tokens) == (12 + 16 + 12, prompt.tokens)


def test_a_lens_does_not_change_the_answer(engine: VisionQA) -> None:
    for count, text in enumerate(TEXTS):
        without = engine.answer(asked(scene(count), text))
        with_lens = engine.answer(asked(scene(count), text, lens=LensOptions()))
        assert without.lens is None
        assert (without.token_ids, without.finish_reason) == (with_lens.token_ids, "stop")


def test_the_lens_of_a_sampled_answer_is_about_the_sampled_token(engine: VisionQA) -> None:
    sampling = Sampling(temperature=2.0, seed=20)
    answer = engine.answer(asked(scene(4), sampling=sampling, lens=LensOptions(every_token=True), max_new_tokens=6))
    again = engine.answer(asked(scene(4), sampling=sampling, max_new_tokens=6))
    assert answer.token_ids == again.token_ids
    assert answer.lens is not None
    ranks = [step.layers[-1].answer_rank for step in answer.lens.steps]
    assert any(rank > 0 for rank in ranks), "a seed at which only best tokens are drawn shows nothing"
    for step in answer.lens.steps:
        last = step.layers[-1]
        if last.answer_rank < len(last.token_ids):
            assert last.token_ids[last.answer_rank] == step.token_id
        else:
            assert step.token_id not in last.token_ids


def test_answers_and_lens_are_the_same_side_by_side(engine: VisionQA) -> None:
    """Prompts of different lengths, answers that start and end at different steps, one of them with a lens."""
    questions = [
        asked(scene(3), "How many circles are there?", lens=LensOptions(every_token=True)),
        asked(scene(2), "图中有几个图形？"),
        asked(scene(1), "How many?", sampling=Sampling(temperature=2.0, seed=3), max_new_tokens=7),
    ]
    alone = [engine.answer(question) for question in questions]
    started = [engine.begin(question) for question in questions[:2]]
    engine.step([one for one in started if not one.ended])
    started.append(engine.begin(questions[2]))
    while active := [one for one in started if not one.ended]:
        engine.step(active)
    together = [engine.finish(one) for one in started]
    assert [one.token_ids for one in together] == [one.token_ids for one in alone]
    assert together[1].lens is None
    assert together[0].lens is not None
    assert alone[0].lens is not None
    for ours, theirs in zip(together[0].lens.steps, alone[0].lens.steps, strict=True):
        for one, other in zip(ours.layers, theirs.layers, strict=True):
            assert one.token_ids == other.token_ids
            assert one.probs == pytest.approx(other.probs, abs=1e-5)
            assert one.entropy == pytest.approx(other.entropy, abs=1e-4)


def test_image_tokens_are_read_where_the_image_stands(engine: VisionQA) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    question = asked(marked((1, 4)), lens=LensOptions(layers=(5, 8), track=("2",), image_tokens=True))
    answer = engine.answer(question)
    prompt, output = plain_forward(model, engine, question, [])
    assert answer.lens is not None
    assert answer.lens.grids is not None
    (grid,) = answer.lens.grids
    assert (grid.width_px, grid.height_px, grid.rows, grid.columns) == (200, 90, 2, 6)
    positions = prompt.mm_token_type_ids[0].nonzero()[:, 0].tolist()
    tracked = engine.prompts.single_token("2")
    for cell, position in enumerate(positions):
        layers = plain_lens(model, output, position)
        for number, layer in enumerate((5, 8)):
            reading = grid.layers[number][cell]
            assert reading.token_ids == [int(layers[layer].argmax())]
            assert reading.probs[0] == pytest.approx(float(layers[layer].max()), abs=1e-4)
            assert reading.tracked[0][0] == pytest.approx(float(layers[layer][tracked]), abs=1e-4)


@pytest.mark.parametrize("cell", [(0, 0), (0, 5), (1, 0), (1, 2)], ids=str)
def test_a_mark_shows_in_the_cell_where_it_was_drawn(engine: VisionQA, cell: tuple[int, int]) -> None:
    lens = LensOptions(layers=(0,), track=tuple("0123456789"), image_tokens=True)
    others = asked(scene(1)).turns
    seen = []
    for image in (marked(), marked(cell)):
        answer = engine.answer(Question((*others, Turn("user", (image, "?"))), max_new_tokens=1, lens=lens))
        assert answer.lens is not None
        _, grid = answer.lens.grids or []
        assert (grid.rows, grid.columns) == (2, 6)
        seen.append(torch.tensor([[prob for prob, _ in reading.tracked] for reading in grid.layers[0]]).log())
    change = (seen[1] - seen[0]).abs().sum(dim=1)
    assert divmod(int(change.argmax()), 6) == cell


def test_chosen_layers_are_those_of_the_whole_lens(engine: VisionQA) -> None:
    whole = engine.answer(asked(scene(3), lens=LensOptions())).lens
    some = engine.answer(asked(scene(3), lens=LensOptions(layers=(8, 2, 2)))).lens
    assert whole is not None
    assert some is not None
    assert some.layers == (2, 8)
    for layer, reading in zip(some.layers, some.steps[0].layers, strict=True):
        assert reading.token_ids == whole.steps[0].layers[layer].token_ids
        assert reading.probs == pytest.approx(whole.steps[0].layers[layer].probs, abs=1e-6)


def test_an_answer_ends_at_its_length_and_at_stop_strings(engine: VisionQA) -> None:
    digit = engine.answer(asked(scene(3))).text
    cut = engine.answer(asked(scene(3), stop=(digit,)))
    assert (cut.text, cut.finish_reason) == ("", "stop")
    short = engine.answer(asked(scene(3), max_new_tokens=1))
    assert (short.text, short.finish_reason) == (digit, "length")


def test_any_of_several_end_tokens_ends_an_answer(engine: VisionQA, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = engine.answer(asked(scene(3))).token_ids
    config = engine.network.model.generation_config
    monkeypatch.setattr(config, "eos_token_id", [config.eos_token_id, first])
    answer = VisionQA(engine.network, engine.prompts).answer(asked(scene(3)))
    assert (answer.token_ids, answer.text, answer.finish_reason) == ([first], "", "stop")


def test_scores_are_the_models_own(engine: VisionQA) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    question = asked(scene(3), top_logprobs=4)
    started = engine.begin(question)
    scores = started.pieces[0].scores
    prompt, output = plain_forward(model, engine, question, [])
    best = output.logits[0, prompt.tokens - 1].log_softmax(-1).topk(4)
    assert scores is not None
    assert [token_id for token_id, _ in scores.top] == best.indices.tolist()
    assert [value for _, value in scores.top] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert scores.token == scores.top[0]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["int8", "nf4"])
def test_quantized_variants_answer_as_the_model_does(variant: Variant, engine: VisionQA) -> None:
    quantized = VisionQA.load(FOLDER, variant, "cpu", 1, Limits())
    layers = {type(block.self_attn.q_proj).__name__ for block in quantized.network.text.layers}
    assert layers == {{"int8": "Linear8bitLt", "nf4": "Linear4bit"}[variant]}
    unquantized = {
        type(module)
        for block in quantized.network.model.model.visual.blocks
        for module in (block.attn.qkv, block.mlp.fc1)
    }
    assert unquantized | {type(quantized.network.model.lm_head)} <= {nn.Linear, PackedLinear, WidenedLinear}
    same = [
        quantized.answer(asked(scene(count), text)).text == engine.answer(asked(scene(count), text)).text
        for count in range(1, 6)
        for text in TEXTS
    ]
    assert sum(same) >= 0.7 * len(same)


def test_the_lens_is_checked_when_the_model_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lens that applies the norm twice would show numbers that are not the model's: the service must not start."""

    def normed_twice(self: LogitLens, states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(self._norm(self._norm(states)))
        return logits.float()

    monkeypatch.setattr(LogitLens, "logits", normed_twice)
    with pytest.raises(LensMismatchError, match="the last layer"):
        VisionQA.load(FOLDER, "fp32", "cpu", 1, Limits())
