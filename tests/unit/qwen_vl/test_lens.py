"""The lens against its definition written out, on a model of random weights."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from services.qwen_vl.lens import Lens, LensMismatchError

LAYERS, HIDDEN, VOCABULARY = 5, 48, 301


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
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
    return made


@pytest.fixture(scope="module")
def states_and_logits(model: Qwen2ForCausalLM) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        output = model(torch.arange(9)[None], output_hidden_states=True)
    return torch.stack([state[0, -1] for state in output.hidden_states]), output.logits[0, -1]


def test_every_layer_is_head_of_norm_of_its_state(
    model: Qwen2ForCausalLM, states_and_logits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    states, logits = states_and_logits
    answer = int(logits.argmax())
    readings = Lens(model.model.norm, model.lm_head).read(states, answer, top_k=5)
    assert [reading.layer for reading in readings] == list(range(LAYERS + 1))
    with torch.inference_mode():
        plain = [model.lm_head(model.model.norm(state)).softmax(-1) for state in states[:-1]] + [logits.softmax(-1)]
    for reading, probs in zip(readings, plain, strict=True):
        best = probs.topk(5)
        assert reading.token_ids == best.indices.tolist()
        assert reading.probs == pytest.approx(best.values.tolist(), rel=1e-4)
        assert reading.entropy == pytest.approx(float(-(probs * probs.log()).sum()), rel=1e-4)
        assert reading.answer_prob == pytest.approx(float(probs[answer]), rel=1e-4)
        assert reading.answer_rank == int((probs > probs[answer]).sum())
    assert readings[-1].token_ids[0] == answer
    assert readings[-1].answer_rank == 0


def test_the_last_layer_is_held_to_the_model(
    model: Qwen2ForCausalLM, states_and_logits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    states, logits = states_and_logits
    Lens(model.model.norm, model.lm_head).check_last_layer(states, logits, tolerance=1e-4)


def test_a_last_layer_that_is_normed_twice_is_noticed(
    model: Qwen2ForCausalLM, states_and_logits: tuple[torch.Tensor, torch.Tensor]
) -> None:
    states, logits = states_and_logits
    with torch.inference_mode():
        twice = torch.cat([states[:-1], model.model.norm(states[-1:])])
    with pytest.raises(LensMismatchError):
        Lens(model.model.norm, model.lm_head).check_last_layer(twice, logits, tolerance=1e-4)


def test_more_tokens_than_the_vocabulary_has_are_all_of_them(model: Qwen2ForCausalLM) -> None:
    readings = Lens(model.model.norm, model.lm_head).read(torch.randn(2, HIDDEN), 0, top_k=VOCABULARY + 10)
    assert all(len(reading.token_ids) == VOCABULARY for reading in readings)
    assert sum(readings[0].probs) == pytest.approx(1, abs=1e-4)


def test_a_probability_of_zero_adds_nothing_to_the_entropy() -> None:
    head = torch.nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1e4, 0, 0, 0], [0.0] * 4, [0.0] * 4]))
    (reading, _) = Lens(torch.nn.Identity(), head).read(torch.ones(2, 4), 0, top_k=3)
    assert reading.entropy == 0
