"""When requests are due in the open loop."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from loadtests.traffic.arrivals import poisson


@pytest.mark.parametrize(("rate_per_s", "until_s"), [(50, 200), (4, 2500)])
def test_arrivals_are_a_poisson_process(rate_per_s: float, until_s: float) -> None:
    """Gaps are exponential with the requested mean, including the first, and independent of the previous gap."""
    times = np.array(list(poisson(rate_per_s, until_s, "a")))
    gaps = np.diff(times, prepend=0)
    assert kstest(gaps, "expon", args=(0, 1 / rate_per_s)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / len(gaps) ** 0.5
    assert abs(len(times) - 10_000) < 4 * 10_000**0.5


def test_as_many_come_in_a_second_as_a_poisson_count_varies() -> None:
    """The variance equals the mean: arrivals at a fixed rate would have none, bursty ones more."""
    counts = np.histogram(list(poisson(20, 1000, "b")), bins=1000, range=(0, 1000))[0]
    dispersion = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    assert chi2.ppf(0.001, 999) < dispersion < chi2.ppf(0.999, 999)


def test_the_first_arrival_is_as_random_as_the_others() -> None:
    firsts = [next(poisson(3, 1000, f"{seed}/0.0")) for seed in range(2000)]
    assert kstest(firsts, "expon", args=(0, 1 / 3)).pvalue > 0.01


def test_arrivals_are_the_same_for_the_same_seed_only() -> None:
    assert list(poisson(5, 10, "a")) == list(poisson(5, 10, "a"))
    assert not set(poisson(5, 100, "a")) & set(poisson(5, 100, "b"))


@given(st.floats(0.5, 20), st.floats(0.1, 4), st.sampled_from("abc"))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_longer_test_begins_with_the_arrivals_of_a_shorter_one(rate_per_s: float, until_s: float, seed: str) -> None:
    """Times increase and are all below the end, which is exclusive."""
    longer = list(poisson(rate_per_s, 2 * until_s, seed))
    assert list(poisson(rate_per_s, until_s, seed)) == [due_s for due_s in longer if due_s < until_s]
    assert all(one < other for one, other in itertools.pairwise([0.0, *longer]))
    for index, due_s in enumerate(longer[:3]):
        assert list(poisson(rate_per_s, due_s, seed)) == longer[:index]
