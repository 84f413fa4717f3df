"""Token sampling against distributions worked out by hand."""

from collections import Counter

import pytest
import torch

from services.qwen_vl.model.sampling import Sampler
from services.qwen_vl.types import Sampling

LOGITS = torch.tensor([0.0, 2.0, -1.0, 1.0])
BEST = 1
DRAWS = 2000


def drawn(sampling: Sampling, logits: torch.Tensor = LOGITS, times: int = DRAWS) -> list[int]:
    picker = Sampler(sampling)
    return [picker.pick(logits) for _ in range(times)]


def test_greedy_takes_the_best() -> None:
    assert Sampler(Sampling()).pick(LOGITS) == BEST
    assert set(drawn(Sampling(temperature=0, seed=1, top_p=0.9), times=50)) == {BEST}


@pytest.mark.parametrize(
    ("temperature", "shares"),
    # exp(logit / temperature) over their sum: e^0, e^2, e^-1, e^1 over 11.475, and so on
    [
        (1.0, [0.0871, 0.6439, 0.0321, 0.2369]),
        (0.5, [0.0159, 0.8650, 0.0021, 0.1171]),
        (2.0, [0.1675, 0.4551, 0.1015, 0.2759]),
    ],
)
def test_draws_follow_the_temperature(temperature: float, shares: list[float]) -> None:
    counts = Counter(drawn(Sampling(temperature=temperature, seed=1)))
    assert [counts[token] / DRAWS for token in range(4)] == pytest.approx(shares, abs=0.03)


def test_a_seed_draws_the_same_again_and_another_seed_others() -> None:
    first = drawn(Sampling(temperature=1.0, seed=1), times=50)
    assert first == drawn(Sampling(temperature=1.0, seed=1), times=50)
    assert first != drawn(Sampling(temperature=1.0, seed=2), times=50)
    assert first != drawn(Sampling(temperature=1.0, seed=0), times=50)
    assert len(set(first)) > 1


def test_seed_0_is_a_seed_as_well() -> None:
    assert drawn(Sampling(temperature=1.0, seed=0), times=50) == drawn(Sampling(temperature=1.0, seed=0), times=50)


def test_without_a_seed_two_answers_are_drawn_apart() -> None:
    unseeded = Sampling(temperature=1.0)
    assert drawn(unseeded, times=200) != drawn(unseeded, times=200)


def test_a_request_draws_by_its_own_generator_alone() -> None:
    sampling = Sampling(temperature=1.0, seed=4)
    picker, expected = Sampler(sampling), drawn(sampling, times=20)
    other = Sampler(Sampling(temperature=1.0, seed=9))
    state = torch.random.get_rng_state()
    mixed = []
    for _ in range(20):
        other.pick(LOGITS)
        mixed.append(picker.pick(LOGITS))
    assert mixed == expected
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1e-9, {1}),
        (0.64, {1}),  # its probability is 0.6439
        (0.65, {1, 3}),  # 0.8808 with the next
        (0.88, {1, 3}),
        (0.89, {0, 1, 3}),  # 0.9679
        (0.96, {0, 1, 3}),
        (0.97, {0, 1, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, kept: set[int]) -> None:
    assert set(drawn(Sampling(temperature=1.0, top_p=top_p, seed=5), times=400)) == kept


@pytest.mark.parametrize(("top_p", "size"), [(0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.75, 3), (0.76, 4), (1.0, 4)])
def test_a_set_that_reaches_top_p_exactly_is_enough(top_p: float, size: int) -> None:
    equal = torch.zeros(4)  # a quarter each, which is exact in floating point
    assert len(set(drawn(Sampling(temperature=1.0, top_p=top_p, seed=5), equal, times=200))) == size


def test_the_nucleus_is_taken_after_the_temperature_and_drawn_from_in_proportion() -> None:
    # at temperature 2 the top two have 0.4551 and 0.2759: together 0.7310
    counts = Counter(drawn(Sampling(temperature=2.0, top_p=0.7, seed=3)))
    assert set(counts) == {1, 3}
    assert counts[1] / DRAWS == pytest.approx(0.4551 / 0.7310, abs=0.03)


@pytest.mark.parametrize("temperature", [1e-300, 1e-7, 1e-6, 1e-3])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    assert set(drawn(Sampling(temperature=temperature, seed=0), times=50)) == {BEST}


def test_a_temperature_of_a_thousandth_still_tells_near_tokens_apart() -> None:
    near = torch.tensor([0.0, 0.001, -1.0])  # e : 1
    counts = Counter(drawn(Sampling(temperature=0.001, seed=2), near))
    assert counts[1] / DRAWS == pytest.approx(0.7311, abs=0.03)
