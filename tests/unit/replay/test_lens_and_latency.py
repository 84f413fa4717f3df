"""Per-layer figures and percentiles, against numbers worked out by hand."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.replay.latency import bands, latency_figures
from clients.replay.lens_metrics import lens_figures
from clients.replay.outcomes import Scored
from clients.replay.record import Load
from tests.unit.replay.reading import columns

NUMBERS = itertools.count()
LAYER = {"answer_prob": 0.5, "answer_rank": 0}


def scored(gold: str, layers: list[tuple[str, ...]] | None, latency_ms: float = 10, **changes: object) -> Scored:
    """An answer whose layers' best tokens are given; layer number i has entropy i."""
    traces = [
        {**LAYER, "tokens": tokens, "probs": [0.1] * len(tokens), "entropy": number}
        for number, tokens in enumerate(layers or [])
    ]
    fields: dict[str, Any] = {
        "sample_id": f"s{next(NUMBERS)}",
        "image": "i.png",
        "question": "q",
        "gold": gold,
        "answer_type": "count",
        "latency_ms": latency_ms,
        "answer": gold,
        "finish_reason": "stop",
        "usage": {"image_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1},
        "timing": {"queue_ms": latency_ms / 10, "preprocess_ms": 1, "inference_ms": 5, "total_ms": latency_ms - 1},
        "lens": {"token": gold, "layers": traces} if layers is not None else None,
        **changes,
    }
    return Scored.model_validate(fields)


def test_accuracy_per_layer_in_both_readings(tmp_path: Path) -> None:
    traces = [
        scored("3", [("a", "三"), ("三", "b"), (" 3", "4")]),
        scored("3", [("3", "b"), ("3", "二"), ("three", "4")]),
        scored("2", [("a", "b"), ("两", "b"), ("3", "2")]),
        scored("0", [("什么", "b"), ("零", "b"), ("0", "2")]),
    ]
    figures = lens_figures(columns(tmp_path, traces), seed=0)
    assert figures is not None
    assert (figures.n, figures.top_k) == (4, 2)
    assert figures.baseline == 0.5, "half of the golds are 3"
    assert [layer.accuracy_latin for layer in figures.layers] == [0.25, 0.25, 0.75]
    assert [layer.accuracy_any for layer in figures.layers] == [0.25, 1.0, 0.75]
    assert [layer.han_share for layer in figures.layers] == [(0.25, 0.5), (0.75, 1.0), (0.0, 0.0)]
    assert [layer.entropy for layer in figures.layers] == [0, 1, 2]
    assert [(answer.gold, answer.n, answer.accuracy) for answer in figures.answers] == [
        (0, 1, (0, 1, 1)),
        (2, 1, (0, 1, 0)),
        (3, 2, (0.5, 1, 1)),
    ]


def test_a_chinese_token_counts_where_the_lens_study_s_code_never_counted_one(tmp_path: Path) -> None:
    """Its mapping's keys were text, so it asked whether "3" is 3."""
    figures = lens_figures(columns(tmp_path, [scored("3", [("三",)])]), seed=0)
    assert figures is not None
    assert (figures.layers[0].accuracy_any, figures.layers[0].accuracy_latin) == (1, 0)


def test_an_answer_settles_where_it_is_right_from_then_on(tmp_path: Path) -> None:
    traces = [
        scored("3", [("3",), ("3",), ("3",)]),
        scored("3", [("3",), ("4",), ("三",)]),
        scored("3", [("a",), ("三",), ("3",)]),
        scored("3", [("3",), ("3",), ("4",)]),
    ]
    figures = lens_figures(columns(tmp_path, traces), seed=0)
    assert figures is not None
    assert [layer.settled for layer in figures.layers] == [0.25, 0.25, 0.25]
    assert figures.never_settled == 0.25


def test_the_interval_of_a_layer_is_over_pictures(tmp_path: Path) -> None:
    """Forty questions about two pictures are two draws, not forty."""
    traces = [
        scored("3", [("3" if picture else "4",)], image=f"{picture}.png") for picture in range(2) for _ in range(20)
    ]
    figures = lens_figures(columns(tmp_path, traces), seed=0)
    assert figures is not None
    assert figures.layers[0].accuracy_any_interval == (0, 1)


def test_what_has_no_trace_or_is_no_count_is_left_out(tmp_path: Path) -> None:
    traces = [scored("3", None), scored("tree", [("tree",)], answer_type="string"), scored("3", [("3",)])]
    figures = lens_figures(columns(tmp_path, traces), seed=0)
    assert figures is not None
    assert figures.n == 1


@pytest.mark.parametrize("layers", [None, []])
def test_without_a_trace_there_are_no_figures(tmp_path: Path, layers: list[tuple[str, ...]] | None) -> None:
    assert lens_figures(columns(tmp_path, [scored("3", layers)]), seed=0) is None


def test_traces_of_another_depth_are_left_out_and_counted(tmp_path: Path) -> None:
    traces = [scored("3", [("3",), ("3",)]), scored("3", [("4",)])]
    figures = lens_figures(columns(tmp_path, traces), seed=0)
    assert figures is not None
    assert (figures.n, len(figures.layers), figures.other) == (1, 2, 1)


def test_percentiles_of_every_part_with_their_n(tmp_path: Path) -> None:
    figures = latency_figures(columns(tmp_path, [scored("3", None, float(ms)) for ms in range(1, 102)]), seed=0)
    assert figures is not None
    parts = {entry.part: entry for entry in figures.parts}
    assert list(parts) == ["queue", "preprocess", "inference", "total", "client"]
    client = parts["client"]
    assert (client.n, client.p50_ms) == (101, 51)
    assert [client.p90_ms, client.p95_ms, client.p99_ms] == pytest.approx([91, 96, 100])
    assert parts["queue"].p50_ms == pytest.approx(5.1)
    assert parts["total"].p50_ms == 50


def test_throughput_counts_only_the_time_in_which_an_answer_was_awaited(tmp_path: Path) -> None:
    """Two overlapping requests take 1.5 s together; an hour's pause before the third does not count."""
    sent = [(100.0, 1000), (100.5, 1000), (3700.0, 500)]
    outcomes = [scored("3", None, ms, sent_at_s=at) for at, ms in sent]
    figures = latency_figures(columns(tmp_path, outcomes), seed=0)
    assert figures is not None
    assert figures.busy_s == pytest.approx(2.0)
    assert figures.answers_per_s == pytest.approx(1.5)


def test_a_load_test_s_latency_is_from_when_it_meant_to_send(tmp_path: Path) -> None:
    """One request was sent 2 s late: its own 0.1 s is within the deadline, what its user waited is not."""
    outcomes = [
        scored("3", None, 100, sent_at_s=10.0, intended_at_s=10.0),
        scored("3", None, 100, sent_at_s=13.0, intended_at_s=11.0),
    ]
    run = columns(tmp_path, outcomes, load=Load(deadline_ms=500))
    figures = latency_figures(run, seed=0, deadline_ms=500)
    assert figures is not None
    assert figures.intended is not None
    assert figures.intended.n == 2
    assert figures.intended.p50_ms == pytest.approx(1100)
    assert figures.goodput_per_s == pytest.approx(1 / 0.2)


def test_a_load_test_may_ask_the_same_question_again(tmp_path: Path) -> None:
    outcomes = [scored("3", None, sample_id="same"), scored("3", None, sample_id="same")]
    assert columns(tmp_path, outcomes, load=Load()).n == 2


def test_first_questions_about_a_picture_stand_beside_later_ones(tmp_path: Path) -> None:
    outcomes = [scored("3", None, 100.0 if turn == 0 else 10.0, turn=turn) for turn in (0, 1, 2, 0, 1)]
    figures = latency_figures(columns(tmp_path, outcomes), seed=0)
    assert figures is not None
    rows = figures.tables[0].rows
    assert [(row.part, row.n, row.p50_ms) for row in rows] == [("first question", 2, 100), ("later questions", 3, 10)]


def test_bands_hold_every_value_once() -> None:
    values = np.array([float(number) for number in range(100)])
    found = list(bands(values))
    assert sum(mask.sum() for _, mask in found) == 100
    assert len(found) == 6
    assert found[0][0].startswith("0 to")
    assert [label for label, _ in bands(np.array([16.0, 16.0, 80.0]))] == ["16", "80"]


def test_no_answers_have_no_latency(tmp_path: Path) -> None:
    assert latency_figures(columns(tmp_path, []), seed=0) is None
