"""The lens against its definition written out, on models of random weights and other sizes."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from services.qwen_vl.lens import Lens, measure
from services.qwen_vl.states import StateTap

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
        made.model.norm.weight.copy_(torch.rand(HIDDEN) + 0.5)  # of ones, a norm applied twice would not show
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
    readings = list(Lens(norm, head, chunk_elements=5 * VOCABULARY).read(rows, answers, 5, track))
    tolerance = 1e-4 if rows.dtype == torch.float32 else 2e-2  # products of other shapes round otherwise
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
    whole = list(Lens(torch.nn.Identity(), head).read(states, answers, 3, NONE))
    cut = list(Lens(torch.nn.Identity(), head, chunk_elements=rows * VOCABULARY).read(states, answers, 3, NONE))
    assert [one.token_ids for one in cut] == [one.token_ids for one in whole]
    assert [one.entropy for one in cut] == pytest.approx([one.entropy for one in whole], rel=1e-5)


def test_sums_are_exact_over_a_vocabulary_that_bfloat16_would_lose() -> None:
    """100,000 equal tokens beside one that is likelier: in bfloat16 the sum stops growing at 256."""
    logits = torch.zeros(1, 100_001, dtype=torch.bfloat16)
    logits[0, 5] = 11.5
    (reading,) = measure(logits.float(), torch.tensor([5]), 1, torch.tensor([6]))
    exact = logits.double().softmax(-1)[0]
    assert reading.answer_prob == pytest.approx(float(exact[5]), rel=1e-5)
    ((prob, rank),) = reading.tracked
    assert prob == pytest.approx(float(exact[6]), rel=1e-5)
    assert rank == 1
    assert reading.entropy == pytest.approx(float(torch.special.entr(exact).sum()), rel=1e-5)


def test_of_equal_tokens_the_emitted_one_stands_first() -> None:
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
