"""Measurements per layer, against numbers worked out by hand and definitions written out."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.replay.analysis.bootstrap import share_interval
from clients.replay.analysis.lens import LensMeasurements, measure_lens
from clients.replay.run.outcomes import Scored
from tests.unit.replay.reading import answered, columns, resamples

Layers = list[tuple[str, ...]]


def traced(gold: str, layers: Layers | None, entropies: Sequence[float] | None = None, **changes: Any) -> Scored:
    """An answer with these top tokens and entropies per layer (by default, layer i has entropy i)."""
    traces = [
        {
            "tokens": tokens,
            "probs": [0.1] * len(tokens),
            "entropy": entropies[number] if entropies else number,
            "answer_prob": 0.5,
            "answer_rank": 0,
        }
        for number, tokens in enumerate(layers or [])
    ]
    lens = None if layers is None else {"token": gold, "layers": traces}
    return answered(gold, gold, lens=lens, **changes)


def figures(folder: Path, outcomes: list[Scored], seed: int = 0) -> LensMeasurements:
    run = columns(folder, outcomes)
    found = measure_lens(run, resamples(run, seed))
    assert found is not None
    return found


def test_accuracy_per_layer_in_both_readings(tmp_path: Path) -> None:
    traces = [
        traced("3", [("a", "三"), ("三", "b"), (" 3", "4")]),
        traced("3", [("3", "b"), ("3", "二"), ("three", "4")]),
        traced("2", [("a", "b"), ("两", "b"), ("3", "2")]),
        traced("0", [("什么", "b"), ("零", "b"), ("0", "2")]),
    ]
    found = figures(tmp_path, traces)
    assert (found.n, found.top_k) == (4, 2)
    assert found.baseline == 0.5, "half of the golds are 3"
    assert [layer.accuracy_latin for layer in found.layers] == [0.25, 0.25, 0.75]
    assert [layer.accuracy_any for layer in found.layers] == [0.25, 1.0, 0.75]
    assert [layer.han_share for layer in found.layers] == [(0.25, 0.5), (0.75, 1.0), (0.0, 0.0)]
    assert [layer.entropy for layer in found.layers] == [0, 1, 2]
    assert [(answer.gold, answer.n, answer.accuracy) for answer in found.answers] == [
        (0, 1, (0, 1, 1)),
        (2, 1, (0, 1, 0)),
        (3, 2, (0.5, 1, 1)),
    ]


def test_a_chinese_token_counts_where_the_lens_study_s_code_never_counted_one(tmp_path: Path) -> None:
    """The study's mapping had text keys, so it compared "3" with 3."""
    found = figures(tmp_path, [traced("3", [("三",)])])
    assert (found.layers[0].accuracy_any, found.layers[0].accuracy_latin) == (1, 0)


def test_an_answer_settles_where_it_is_right_from_then_on(tmp_path: Path) -> None:
    traces = [
        *(traced("3", [("3",), ("3",), ("3",), ("3",)]) for _ in range(4)),
        *(traced("3", [("3",), ("4",), ("三",), ("3",)]) for _ in range(3)),
        traced("3", [("3",), ("3",), ("4",), ("3",)]),
        *(traced("3", [("3",), ("3",), ("3",), ("4",)]) for _ in range(2)),
    ]
    found = figures(tmp_path, traces)
    assert [layer.settled for layer in found.layers] == [0.4, 0, 0.3, 0.1]
    assert found.never_settled == 0.2


def test_settling_is_what_its_definition_says_for_every_way_of_being_right(tmp_path: Path) -> None:
    ways = list(itertools.product("3x", repeat=5))
    found = figures(tmp_path, [traced("3", [(token,) for token in way]) for way in ways])
    first = [next((layer for layer in range(5) if "x" not in way[layer:]), None) for way in ways]
    assert [layer.settled for layer in found.layers] == [first.count(layer) / 32 for layer in range(5)]
    assert found.never_settled == first.count(None) / 32


def test_the_interval_of_a_layer_is_over_images(tmp_path: Path) -> None:
    """Forty questions about two images are two independent draws, not forty."""
    traces = [traced("3", [("3" if image else "4",)], image=f"{image}.png") for image in range(2) for _ in range(20)]
    found = figures(tmp_path, traces)
    assert found.layers[0].accuracy_any_interval == (0, 1)


def test_a_resample_without_a_trace_is_passed_over(tmp_path: Path) -> None:
    traces = [traced("3", [(token,)], image="traced.png") for token in ("3", "4")]
    found = figures(tmp_path, [*traces, traced("3", None, image="untraced.png")])
    assert found.layers[0].accuracy_any_interval == (0.5, 0.5)


def test_what_has_no_trace_or_is_no_count_is_left_out(tmp_path: Path) -> None:
    traces = [traced("3", None), traced("tree", [("tree",)], answer_type="string"), traced("3", [("3",)])]
    found = figures(tmp_path, traces)
    assert found.n == 1


@pytest.mark.parametrize("layers", [None, []])
def test_without_a_trace_there_are_no_figures(tmp_path: Path, layers: list[tuple[str, ...]] | None) -> None:
    run = columns(tmp_path, [traced("3", layers)])
    assert measure_lens(run, resamples(run)) is None


def test_traces_of_another_depth_are_left_out_and_counted(tmp_path: Path) -> None:
    depths: list[Layers] = [[("3",), ("3",)], [("4",)], [("4",), ("4",), ("4",)], [("3",), ("4",)]]
    found = figures(tmp_path, [traced("3", layers) for layers in depths])
    assert (found.n, len(found.layers), found.other) == (2, 2, 2)
    assert [layer.accuracy_any for layer in found.layers] == [1, 0.5]


def test_figures_are_over_the_traces_rows_wherever_they_stand(tmp_path: Path) -> None:
    """Outcomes without a trace, of other types or superseded are in between; one image has more traces."""
    outcomes = [
        answered("9", "9", image="b.png"),
        traced("5", [("4",)], [100], sample_id="again", image="b.png"),
        traced("2", [("2",)], image="a.png"),
        traced("7", [("7",)], image="a.png", answer_type="numerical"),
        answered("9", "9", image="a.png"),
        traced("7", [("8",)], image="b.png"),
        traced("2", [("三",)], image="a.png"),
        traced("2", [("二",)], image="a.png"),
        answered("9", "9", image="a.png"),
        traced("5", [("5",)], [10], sample_id="again", image="b.png"),
    ]
    found = figures(tmp_path, outcomes)
    (layer,) = found.layers
    assert (found.n, layer.n, found.baseline) == (5, 5, 3 / 5)
    assert [(answer.gold, answer.n, answer.accuracy) for answer in found.answers] == [
        (2, 3, (2 / 3,)),
        (5, 1, (1,)),
        (7, 1, (0,)),
    ]
    assert (layer.accuracy_latin, layer.accuracy_any, layer.entropy) == (2 / 5, 3 / 5, 2)
    # of two images, a quarter of the resamples have only the first, a quarter only the second
    assert layer.accuracy_latin_interval == pytest.approx((1 / 3, 1 / 2))
    assert layer.accuracy_any_interval == pytest.approx((1 / 2, 2 / 3))


def test_each_layer_has_its_own_interval_in_each_reading(tmp_path: Path) -> None:
    right: Layers = [("3",), ("3",), ("三",)]
    wrong: Layers = [("3",), ("4",), ("4",)]
    traces = [traced("3", layers, image=f"{n}.png") for n, layers in enumerate([right, wrong, right])]
    found = figures(tmp_path, [*traces, answered(image="untraced.png")])
    never, always = share_interval(np.zeros(1), 0, 3), share_interval(np.ones(1), 1, 3)
    assert [layer.accuracy_latin_interval for layer in found.layers] == [always, (0, 1), never]
    assert [layer.accuracy_any_interval for layer in found.layers] == [always, (0, 1), (0, 1)]


def test_the_seed_decides_the_intervals_of_layers(tmp_path: Path) -> None:
    run = columns(tmp_path, [traced("3", [("3" if n % 3 else "4",)], image=f"{n * n % 17}") for n in range(60)])
    one, again, other = (measure_lens(run, resamples(run, seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_share_of_han_script_counts_each_trace_once_for_any_of_the_first_tokens(tmp_path: Path) -> None:
    traces = [
        traced("3", [("三", "四", "a"), ("a", "b", "五")]),
        traced("3", [("a", "个", "个"), ("a", "b", "c")]),
        traced("3", [("a", "b", "c"), ("二", "b", "c")]),
        traced("3", [("a",), ("五",)]),
    ]
    found = figures(tmp_path, traces)
    assert found.top_k == 3
    assert [layer.han_share for layer in found.layers] == [(0.25, 0.5, 0.5), (0.5, 0.5, 0.75)]


def test_entropy_is_the_mean_between_its_quartiles(tmp_path: Path) -> None:
    entropies = [[0.0, 8.0], [1.0, 6.0], [2.0, 4.0], [3.0, 2.0], [9.0, 1.0]]
    found = figures(tmp_path, [traced("3", [("3",), ("3",)], values) for values in entropies])
    assert [layer.entropy for layer in found.layers] == [3, pytest.approx(4.2)]
    assert [layer.entropy_quartiles for layer in found.layers] == [(1, 3), (2, 6)]
    assert [layer.layer for layer in found.layers] == [0, 1]


def test_more_tokens_than_the_first_trace_has_are_cut(tmp_path: Path) -> None:
    traces = [traced("3", [("3", "a"), ("3",)]), traced("3", [("a", "b", "三"), ("三", "b", "c")])]
    found = figures(tmp_path, traces)
    assert (found.top_k, [layer.han_share for layer in found.layers]) == (2, [(0, 0), (0.5, 0.5)])


def test_a_layer_without_tokens_is_wrong_even_for_a_gold_that_is_not_a_number(tmp_path: Path) -> None:
    traces = [traced("3", [("3",), ("3",)]), traced("3", [(), ("3",)]), traced("many", [("x",), ()])]
    found = figures(tmp_path, traces)
    assert [layer.accuracy_any for layer in found.layers] == pytest.approx([1 / 3, 2 / 3])
    assert [answer.gold for answer in found.answers] == [3]
