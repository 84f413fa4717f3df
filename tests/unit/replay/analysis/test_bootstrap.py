"""Resampling by image, against scipy, closed forms, and enumerated resamples."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clients.replay.analysis.bootstrap import ClusterBootstrap, interval, share_interval


def clusters(numbers: list[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def test_the_cluster_bootstrap_agrees_with_scipy_s_over_images() -> None:
    draw = np.random.default_rng(5)
    pictures = np.repeat(np.arange(60), draw.integers(1, 6, 60)).astype(np.int32)
    difficulty = draw.uniform(0.2, 0.9, 60)
    scores = (draw.random(len(pictures)) < difficulty[pictures]).astype(np.float64)
    bootstrap = ClusterBootstrap(pictures, seed=0, resamples=4000)
    totals = bootstrap.totals([scores, np.ones(len(scores))])
    ours = interval(totals[:, 0] / totals[:, 1])
    per_image = (np.bincount(pictures, scores), np.bincount(pictures))
    theirs = stats.bootstrap(
        per_image,
        lambda right, n, axis: right.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.012)


def test_questions_of_one_image_do_not_make_the_interval_narrower() -> None:
    scores = np.array([1.0, 0.0] * 20)

    def width(clusters: list[int], values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
        totals = ClusterBootstrap(np.array(clusters, np.int32), 0).totals([values, np.ones(len(values))])
        low, high = interval(totals[:, 0] / totals[:, 1])
        return high - low

    each = width(list(range(40)), scores)
    tenfold = width([n for n in range(40) for _ in range(10)], np.repeat(scores, 10))
    assert tenfold == pytest.approx(each, abs=0.03)
    assert width(list(range(400)), np.repeat(scores, 10)) < each / 2


@pytest.mark.parametrize(("value", "right"), [(1.0, 12), (0.0, 0)])
def test_where_resampling_cannot_vary_the_exact_interval_stands_in(value: float, right: int) -> None:
    exact = stats.binomtest(right, 12).proportion_ci(method="exact")
    assert share_interval(np.full(9, value), value, 12) == pytest.approx((exact.low, exact.high))


def test_quantiles_of_resamples_agree_with_scipy_s() -> None:
    values = np.random.default_rng(2).lognormal(4, 0.5, 300)
    bootstrap = ClusterBootstrap(np.arange(300, dtype=np.int32), seed=0, resamples=3000)
    ours = interval(bootstrap.quantiles(values, np.array([0.5]))[:, 0])
    theirs = stats.bootstrap((values,), np.median, n_resamples=3000, method="percentile", rng=np.random.default_rng(3))
    limits = theirs.confidence_interval
    assert ours == pytest.approx((limits.low, limits.high), rel=0.03)


def test_a_resample_draws_as_many_images_as_there_are_with_all_their_questions() -> None:
    """Of two images, a quarter of the resamples have only the first, a quarter only the second, and half both."""
    bootstrap = ClusterBootstrap(clusters([9, 4, 9, 9]), seed=0)
    totals = bootstrap.totals([np.array([1.0, 0.5, 2.0, 4.0]), np.ones(4)])
    found = Counter(map(tuple, totals.tolist()))
    assert found.keys() == {(14, 6), (7.5, 4), (1, 2)}
    assert found.total() == 1000, "resamples"
    assert [found[key] / 1000 for key in ((14, 6), (7.5, 4), (1, 2))] == pytest.approx([0.25, 0.5, 0.25], abs=0.05)


def test_the_seed_decides_the_resamples() -> None:
    numbers, scores = clusters([0, 1, 2, 2, 3, 4]), np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    one, again, other = (ClusterBootstrap(numbers, seed).totals([scores]) for seed in (5, 5, 6))
    assert (one == again).all()
    assert (one != other).any()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=12),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_totals_and_quantiles_are_those_of_the_resample_written_out(rows: list[tuple[int, int]], seed: int) -> None:
    numbers, values = clusters([name for name, _ in rows]), np.array([value for _, value in rows], np.float64)
    bootstrap = ClusterBootstrap(numbers, seed, resamples=63)  # more than one batch, and not a whole number of them
    names = np.unique(numbers)
    masks = [(numbers == name).astype(np.float64) for name in names]
    drawn = bootstrap.totals(masks) / [mask.sum() for mask in masks]
    assert (drawn.sum(axis=1) == len(names)).all()
    levels = np.array([0.25, 0.5, 1.0])
    quantiles, sums = bootstrap.quantiles(values, levels), bootstrap.totals([values])[:, 0]
    assert quantiles.shape == (63, 3)
    for place, weights in enumerate(drawn):
        written_out = np.repeat(values, weights[np.searchsorted(names, numbers)].astype(int))
        assert sums[place] == written_out.sum()
        assert (quantiles[place] == np.quantile(written_out, levels, method="inverted_cdf")).all()


def test_images_are_counted_among_the_masked_questions_alone() -> None:
    bootstrap = ClusterBootstrap(clusters([7, 7, 3, 100]), seed=0)
    assert bootstrap.clusters_of(np.array([True, True, False, True])) == 2
    assert bootstrap.clusters_of(np.array([True, True, False, False])) == 1


def test_the_interval_is_the_middle_of_the_resamples_that_have_the_statistic() -> None:
    statistics = np.random.default_rng(0).permutation(np.arange(201.0))
    assert interval(statistics) == pytest.approx((5, 195))
    assert interval(statistics, level=0.8) == pytest.approx((20, 180))
    assert interval(np.concatenate([statistics, [np.nan, np.inf]])) == pytest.approx((5, 195))
    assert all(map(np.isnan, interval(np.array([np.nan]))))


def test_a_share_between_none_and_all_has_the_resampled_interval() -> None:
    statistics = np.linspace(0.2, 0.6, 201)
    assert share_interval(statistics, 0.4, 12) == interval(statistics)


@pytest.mark.parametrize(("rows", "images"), [([1, 2, 3, 6], 3), ([1, 2], 2), ([0, 1, 3, 6], 2)])
def test_sums_over_some_rows_come_from_the_same_resamples_as_sums_over_all(rows: list[int], images: int) -> None:
    own, values = np.array(rows), np.array([1.0, 10.0, 100.0, 1000.0])[: len(rows)]
    everywhere = np.zeros(7)
    everywhere[own] = values
    bootstrap = ClusterBootstrap(clusters([4, 4, 9, 2, 9, 9, 2]), seed=5)
    assert np.array_equal(bootstrap.totals([values], own), bootstrap.totals([everywhere]))
    assert bootstrap.clusters_of(own) == images
