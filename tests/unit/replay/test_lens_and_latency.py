"""Per-layer figures and percentiles, against numbers worked out by hand."""

from typing import Any

import pytest

from clients.replay.latency import percentiles
from clients.replay.lens_metrics import lens_figures
from clients.replay.outcomes import Scored

LAYER = {"answer_prob": 0.5, "answer_rank": 0}


def scored(gold: str, layers: list[tuple[str, ...]] | None, latency_ms: float = 10, **changes: object) -> Scored:
    """An answer whose layers' best tokens are given; layer number i has entropy i."""
    traces = [
        {**LAYER, "tokens": tokens, "probs": [0.1] * len(tokens), "entropy": number}
        for number, tokens in enumerate(layers or [])
    ]
    fields: dict[str, Any] = {
        "sample_id": "s",
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


def test_accuracy_per_layer_in_both_readings() -> None:
    figures = lens_figures(
        [
            scored("3", [("a", "三"), ("三", "b"), (" 3", "4")]),
            scored("3", [("3", "b"), ("3", "二"), ("three", "4")]),
            scored("2", [("a", "b"), ("两", "b"), ("3", "2")]),
            scored("0", [("什么", "b"), ("零", "b"), ("0", "2")]),
        ]
    )
    assert figures is not None
    assert (figures.n, figures.top_k) == (4, 2)
    assert figures.baseline == 0.5, "half of the golds are 3"
    assert [layer.accuracy_latin for layer in figures.layers] == [0.25, 0.25, 0.75]
    assert [layer.accuracy_any for layer in figures.layers] == [0.25, 1.0, 0.75]
    assert [layer.han_share for layer in figures.layers] == [(0.25, 0.5), (0.75, 1.0), (0.0, 0.0)]
    assert [layer.entropy for layer in figures.layers] == [0, 1, 2]


def test_what_has_no_trace_or_is_no_count_is_left_out() -> None:
    figures = lens_figures(
        [scored("3", None), scored("tree", [("tree",)], answer_type="string"), scored("3", [("3",)])]
    )
    assert figures is not None
    assert figures.n == 1
    assert lens_figures([scored("3", None)]) is None
    assert lens_figures([scored("3", [])]) is None
    assert lens_figures([]) is None


def test_traces_of_another_depth_are_left_out() -> None:
    figures = lens_figures([scored("3", [("3",), ("3",)]), scored("3", [("4",)])])
    assert figures is not None
    assert (figures.n, len(figures.layers)) == (1, 2)


def test_percentiles_of_every_part_with_their_n() -> None:
    parts = {entry.part: entry for entry in percentiles([scored("3", None, float(ms)) for ms in range(1, 102)])}
    assert list(parts) == ["queue", "preprocess", "inference", "total", "client"]
    client = parts["client"]
    assert (client.n, client.p50_ms) == (101, 51)
    assert [client.p95_ms, client.p99_ms] == pytest.approx([96, 100])
    assert parts["queue"].p50_ms == pytest.approx(5.1)
    assert parts["total"].p50_ms == 50


def test_no_answers_have_no_percentiles() -> None:
    assert percentiles([]) == ()
