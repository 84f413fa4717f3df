"""The lens against its definition written out, on models of other sizes with random weights."""

import math

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from services.qwen_vl.lens.readout import LogitLens, measure
from services.qwen_vl.lens.states import StateTap

LAYERS, HIDDEN, VOCABULARY = 5, 48, 301
NONE = torch.tensor([], dtype=torch.long)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def model(request: pytest.FixtureRequest) -> Qwen2ForCausalLM:
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    made = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        made.model.norm.weight.copy_(torch.rand(HIDDEN) + 0.5)  # with all ones, a norm applied twice would not show
        made.lm_head.weight.mul_(20)  # so that the distributions are not flat
    return made.to(request.param)


def test_every_layer_is_head_of_norm_of_its_state(model: Qwen2ForCausalLM) -> None:
    track = torch.tensor([7, 200])
    with torch.inference_mode(), StateTap(model.model.layers).at([-1, 3]) as states:
        output = model(torch.arange(9)[None], output_hidden_states=True)
        norm, head = model.model.norm, model.lm_head
        plain = [head(norm(state[0, [-1, 3]])) for state in output.hidden_states[:-1]] + [output.logits[0, [-1, 3]]]
    rows = torch.cat([state[0] for state in states])  # (layers · positions, hidden)
    assert rows.shape == (2 * (LAYERS + 1), HIDDEN)
    answers = torch.arange(len(rows)) * 11
    readings = list(LogitLens(norm, head, chunk_elements=5 * VOCABULARY).read(rows, answers, 5, track))
    tolerance = 1e-4 if rows.dtype == torch.float32 else 2e-2  # products of other shapes round differently
    for reading, logits, answer in zip(readings, torch.cat(plain), answers.tolist(), strict=True):
        probs = logits.float().softmax(-1)
        assert reading.probs == pytest.approx(probs.topk(5).values.tolist(), abs=tolerance)
        assert reading.entropy == pytest.approx(float(torch.special.entr(probs).sum()), abs=10 * tolerance)
        assert reading.answer_prob == pytest.approx(float(probs[answer]), abs=tolerance)
        assert [prob for prob, _ in reading.tracked] == pytest.approx(probs[track].tolist(), abs=tolerance)
        if rows.dtype == torch.float32:
            assert reading.token_ids == probs.topk(5).indices.tolist()
            assert reading.answer_rank == int((probs > probs[answer]).sum())
            assert [rank for _, rank in reading.tracked] == [int((probs > probs[one]).sum()) for one in track]


@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_chunks_change_nothing(rows: int) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(HIDDEN, VOCABULARY, bias=False)
    states, answers = torch.randn(7, HIDDEN), torch.arange(7)
    whole = list(LogitLens(torch.nn.Identity(), head).read(states, answers, 3, NONE))
    cut = list(LogitLens(torch.nn.Identity(), head, chunk_elements=rows * VOCABULARY).read(states, answers, 3, NONE))
    assert [one.token_ids for one in cut] == [one.token_ids for one in whole]
    assert [one.entropy for one in cut] == pytest.approx([one.entropy for one in whole], rel=1e-5)


def test_sums_are_exact_over_a_vocabulary_that_bfloat16_would_lose() -> None:
    """100,000 equal tokens and one more likely: in bfloat16 the sum stops growing at 256.

    The error of a float32 sum depends on the number of SIMD lanes.
    """
    logits = torch.zeros(1, 100_001, dtype=torch.bfloat16)
    logits[0, 5] = 11.5
    (reading,) = measure(logits.float(), torch.tensor([5]), 1, torch.tensor([6]))
    exact = logits.double().softmax(-1)[0]
    assert reading.answer_prob == pytest.approx(float(exact[5]), rel=1e-3)
    ((prob, rank),) = reading.tracked
    assert prob == pytest.approx(float(exact[6]), rel=1e-3)
    assert rank == 1
    assert reading.entropy == pytest.approx(float(torch.special.entr(exact).sum()), rel=1e-3)


def test_of_equal_tokens_the_emitted_one_comes_first() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0, 0.0]])
    for answer in (1, 2, 3):
        (reading,) = measure(logits, torch.tensor([answer]), 2, NONE)
        assert (reading.token_ids[0], reading.answer_rank) == (answer, 0)
        assert len(set(reading.token_ids)) == 2


def test_more_tokens_than_the_vocabulary_has_are_all_of_them() -> None:
    (reading,) = measure(torch.randn(1, 9), torch.tensor([0]), 20, NONE)
    assert sorted(reading.token_ids) == list(range(9))
    assert sum(reading.probs) == pytest.approx(1, abs=1e-4)


def test_a_probability_of_zero_adds_nothing_to_the_entropy() -> None:
    (reading,) = measure(torch.tensor([[1e4, 0.0, 0.0]]), torch.tensor([0]), 3, NONE)
    assert reading.entropy == 0


def test_the_entropy_is_in_nats_and_a_rank_counts_only_what_is_likelier() -> None:
    probs = torch.tensor([[0.125, 0.5, 0.125, 0.25]])
    (reading,) = measure(probs.log(), torch.tensor([2]), 2, torch.tensor([3, 0, 1]))
    assert reading.entropy == pytest.approx(1.75 * math.log(2))  # 1.75 bits
    assert reading.token_ids == [1, 3]
    assert reading.probs == pytest.approx([0.5, 0.25])
    assert reading.answer_rank == 2
    assert reading.answer_prob == pytest.approx(0.125)
    assert [prob for prob, _ in reading.tracked] == pytest.approx([0.25, 0.125, 0.5])
    assert [rank for _, rank in reading.tracked] == [1, 2, 0]


@pytest.mark.parametrize(("top_k", "first"), [(1, [3]), (2, [3, 1]), (3, [3, 1, 2])])
def test_the_emitted_one_of_equal_tokens_takes_no_other_place(top_k: int, first: list[int]) -> None:
    (reading,) = measure(torch.tensor([[1.0, 3.0, 2.0, 3.0, 0.0]]), torch.tensor([3]), top_k, NONE)
    assert reading.token_ids == first
    assert len(reading.probs) == top_k


def test_each_row_is_measured_against_its_own_answer_whatever_is_measured_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    head, states, answers = torch.nn.Linear(6, 11, bias=False), torch.randn(7, 6), torch.tensor([3, 1, 4, 1, 5, 9, 2])
    expected = head(states).softmax(-1)[torch.arange(7), answers].tolist()
    for chunk, measured in [(1, 1), (33, 22), (44, 1000), (1000, 33)]:
        monkeypatch.setattr("services.qwen_vl.lens.readout._MEASURED_ELEMENTS", measured)
        readings = LogitLens(torch.nn.Identity(), head, chunk_elements=chunk).read(states, answers, 1, NONE)
        assert [reading.answer_prob for reading in readings] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("chunk", "products"), [(1, [1] * 7), (21, [1] * 7), (22, [2, 2, 2, 1]), (77, [7]), (76, [6, 1])]
)
def test_no_more_logits_are_held_than_were_allowed(chunk: int, products: list[int]) -> None:
    head, rows = torch.nn.Linear(6, 11, bias=False), []
    head.register_forward_hook(lambda _, __, logits: rows.append(len(logits)))
    list(
        LogitLens(torch.nn.Identity(), head, chunk_elements=chunk).read(
            torch.randn(7, 6), torch.zeros(7).long(), 1, NONE
        )
    )
    assert rows == products


def test_states_are_taken_only_while_they_are_wanted(model: Qwen2ForCausalLM) -> None:
    tap, ids = StateTap(model.model.layers), torch.arange(9)[None]
    with torch.inference_mode():
        with tap.at([2]) as states:
            model(ids)
        assert [tuple(state.shape) for state in states] == [(1, 1, HIDDEN)] * (LAYERS + 1)
        with tap.at(None) as none:
            model(ids)
        assert none == []
        assert len(states) == LAYERS + 1, "the hooks of the first are gone"
