"""The figures, read off their axes: series match the legend, heat maps have the right rows and columns."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clients.replay.analysis.comparison import Comparison, Difference, McNemar
from clients.replay.analysis.counts import CountMeasurements
from clients.replay.analysis.lens import AnswerMeasurements, LayerMeasurements, LensMeasurements
from clients.replay.analysis.scores import compute
from clients.replay.report import comparison_plots, run_plots
from clients.replay.report.svg import SERIES, svg
from tests.unit.replay.reading import answered, columns, record_of

# three layers of four traces, with distinct numbers
LENS = LensMeasurements(
    n=4,
    top_k=2,
    baseline=0.35,
    layers=(
        LayerMeasurements(0, 4, 0.1, (0.05, 0.15), 0.2, (0.12, 0.28), (0.3, 0.45), 9.0, (8.0, 9.5), 0.5),
        LayerMeasurements(1, 4, 0.4, (0.3, 0.5), 0.6, (0.55, 0.65), (0.5, 0.75), 5.0, (4.0, 7.0), 0.125),
        LayerMeasurements(2, 4, 0.7, (0.6, 0.8), 0.9, (0.85, 0.95), (0.0, 0.25), 1.0, (0.5, 2.0), 0.25),
    ),
    answers=(AnswerMeasurements(3, 3, (0.2, 0.4, 0.6)), AnswerMeasurements(7, 1, (0.0, 0.8, 1.0))),
    never_settled=0.0625,
    other=0,
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Axes]:
    """The axes of each figure, by title."""
    found: dict[str, Axes] = {}

    def draw_only(name: str, title: str, draw: Callable[[Axes], None], size_inches: object = None) -> Markup:
        assert name or size_inches
        found[title] = Figure().add_subplot()
        draw(found[title])
        return Markup()

    for module in (run_plots, comparison_plots):
        monkeypatch.setattr(module, "svg", draw_only)
    return found


def lines(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): np.asarray(line.get_ydata(), float).tolist() for line in axes.get_lines()}


def bands(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """The areas filled between curves, per x, by colour."""
    found = {}
    for area in axes.collections:
        if isinstance(area, FillBetweenPolyCollection):
            points = np.asarray(area.get_paths()[0].vertices)
            ends = [sorted(points[points[:, 0] == x, 1]) for x in np.unique(points[:, 0])]
            found[str(area.get_facecolor())] = [(y[0], y[-1]) for y in ends]
    return found


def cells(axes: Axes) -> dict[tuple[float, float], float]:
    """The opacity of each non-empty cell, by row and column."""
    boxes = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    strengths = {(box.get_y() + 0.5, box.get_x() + 0.5): (box.get_alpha() or 0) / 0.75 for box in boxes}
    return {place: strength for place, strength in strengths.items() if strength}


def ticks(axis: Axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_accuracy_has_a_curve_and_a_band_per_reading(drawn: dict[str, Axes]) -> None:
    run_plots.lens_accuracy(LENS, 0)
    axes = drawn["Accuracy per layer (n = 4)"]
    curves = lines(axes)
    assert curves["any script"] == [0.2, 0.6, 0.9]
    assert curves["digits, English"] == [0.1, 0.4, 0.7]
    assert curves["majority baseline"] == [0.35, 0.35]
    assert np.asarray(axes.get_lines()[0].get_xdata()).tolist() == [0, 1, 2]
    any_script, latin = bands(axes).values()
    assert any_script == [(0.12, 0.28), (0.55, 0.65), (0.85, 0.95)]
    assert latin == [(0.05, 0.15), (0.3, 0.5), (0.6, 0.8)]


def test_each_k_has_its_curve_of_han_script(drawn: dict[str, Axes]) -> None:
    run_plots.lens_han(LENS, 0)
    assert lines(drawn["Han script in the top tokens (n = 4)"]) == {"top 1": [0.3, 0.5, 0], "top 2": [0.45, 0.75, 0.25]}


def test_the_map_of_counts_has_a_row_per_count_and_a_column_per_layer(drawn: dict[str, Axes]) -> None:
    run_plots.lens_answers(LENS, 0)
    axes = drawn["Accuracy by count (n = 4)"]
    shares = {(0, 0): 0.2, (0, 1): 0.4, (0, 2): 0.6, (1, 1): 0.8, (1, 2): 1.0}
    assert cells(axes) == pytest.approx(shares)
    assert ticks(axes.yaxis) == ["3  (n = 3)", "7  (n = 1)"]
    assert axes.get_ylim() == (1.5, -0.5), "from the top down"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("layer (0 is the embedding)", "gold count")


def test_settling_has_a_bar_per_layer_and_one_for_never(drawn: dict[str, Axes]) -> None:
    run_plots.lens_settling(LENS, 0)
    axes = drawn["Where the answer settles (n = 4)"]
    heights = {
        bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)
    }
    assert heights == pytest.approx({0: 0.5, 1: 0.125, 2: 0.25, 3.5: 0.0625})
    assert lines(axes)["settled so far"] == [0.5, 0.625, 0.875]
    assert dict(zip(axes.get_xticks(), ticks(axes.xaxis), strict=True))[3.5] == "never"


def test_entropy_is_drawn_between_its_quartiles(drawn: dict[str, Axes]) -> None:
    run_plots.lens_entropy(LENS, 0)
    axes = drawn["Entropy per layer (n = 4)"]
    assert lines(axes)["mean"] == [9, 5, 1]
    assert list(bands(axes).values()) == [[(8, 9.5), (4, 7), (0.5, 2)]]


def test_the_confusion_has_gold_counts_in_rows_shaded_by_their_share(drawn: dict[str, Axes]) -> None:
    """Gold 2 was answered 2, 2, 2 and 4; gold 1 was answered 17 and not a number."""
    table = [[0] * 17 for _ in range(16)]
    table[2][2], table[2][4], table[1][16] = 3, 1, 2
    run_plots.confusion(CountMeasurements(6, 0, 1.0, (0.0, 2.0), 1.0, tuple(map(tuple, table))), 0)
    axes = drawn["Confusion of counts (n = 6)"]
    assert cells(axes) == pytest.approx({(2, 2): 3 / 4, (2, 4): 1 / 4, (1, 5): 1})
    texts = {
        (text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts if text.get_text()
    }
    assert texts == {(2, 2): "3", (2, 4): "1", (1, 5): "2"}
    assert (ticks(axes.xaxis), axes.get_xlabel()) == (["0", "1", "2", "3", "4", "other"], "answered count")
    assert (ticks(axes.yaxis), axes.get_ylabel()) == (["0", "1", "2", "3", "4"], "gold count")


def test_each_part_of_the_latency_has_its_own_curve(drawn: dict[str, Axes], tmp_path: Path) -> None:
    outcomes = [
        answered(latency_ms=ms, timing={"queue_ms": ms / 10, "preprocess_ms": 1, "inference_ms": ms / 2, "total_ms": 9})
        for ms in (100, 300, 200)
    ]
    run_plots.latency_ecdf(columns(tmp_path, outcomes), 0)
    axes = drawn["Latency (n = 3)"]
    durations_ms = {str(line.get_label()): np.asarray(line.get_xdata(), float) for line in axes.get_lines()}
    reach = {part: (values.min(), values.max()) for part, values in durations_ms.items()}
    assert reach == {"client": (100, 300), "inference": (50, 150), "queue": (10, 30)}
    assert lines(axes)["client"] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def bars(axes: Axes) -> Iterator[tuple[str, Any, list[Any]]]:
    """Each series of points with error bars: label, points, and ends of the bars in x and y."""
    for container in axes.containers:
        points, _, ends = container.lines  # type: ignore[attr-defined]
        yield str(container.get_label()), points, [np.asarray(entry.get_segments()) for entry in ends]


def test_quality_is_plotted_against_median_latency_with_intervals(drawn: dict[str, Axes], tmp_path: Path) -> None:
    outcomes = [answered("3" if n % 4 else "4", image=f"{n}.png", latency_ms=n * n) for n in range(1, 20)]
    report = compute("int8", record_of(), columns(tmp_path, outcomes), seed=0)
    comparison_plots.quality_and_latency([report])
    ((label, points, (across, up)),) = bars(drawn["Quality against latency, 95 % intervals"])
    assert report.overall is not None
    assert report.latency is not None
    score = report.overall.scores[0]
    assert label == "int8 (n = 19)"
    assert (points.get_xdata()[0], points.get_ydata()[0]) == (100, pytest.approx(15 / 19))
    assert across[0, :, 0].tolist() == pytest.approx(report.latency.p50_interval)
    assert up[0, :, 1].tolist() == pytest.approx([score.low, score.high])


def test_each_difference_is_in_its_metric_s_row_with_its_interval(drawn: dict[str, Axes]) -> None:
    def comparison(other: str, n: int, *shown: Difference) -> Comparison:
        return Comparison("ref", other, n, 5, 0, 2, McNemar(0, 0, 1), shown, ())

    em, count, rmse = Difference("em", 0, 0, -0.1, -0.3, 0.05), Difference("count", 0, 0, 0.2, 0.1, 0.4), "rmse"
    first = comparison("B", 7, em, count, Difference(rmse, 0, 0, 3, 2, 4))
    second = comparison("C", 9, Difference("count", 0, 0, 0.5, 0.5, 0.6), Difference("em", 0, 0, 0.0, -0.2, 0.2))
    comparison_plots.differences([first, second], {"em": "Exact", "count": "Count"})
    axes = drawn["Differences, question by question"]
    assert ticks(axes.yaxis) == ["Exact", "Count"]
    assert axes.get_xlabel() == "difference from ref, in points"
    (b, b_points, (b_reach,)), (c, c_points, (c_reach,)) = bars(axes)
    assert (b, c) == ("B (n = 7)", "C (n = 9)")
    assert (b_points.get_xdata().tolist(), b_points.get_ydata().tolist()) == ([-0.1, 0.2], [-0.25, 0.75])
    assert (c_points.get_xdata().tolist(), c_points.get_ydata().tolist()) == ([0.0, 0.5], [0.25, 1.25])
    assert b_reach[:, :, 0] == pytest.approx(np.array([[-0.3, 0.05], [0.1, 0.4]]))
    assert c_reach[:, :, 0] == pytest.approx(np.array([[-0.2, 0.2], [0.5, 0.6]]))


def test_a_drawing_takes_its_colours_and_font_from_the_page_and_keeps_its_ids_apart() -> None:
    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SERIES[1])

    drawing = svg("mine-1", "Some title", draw)
    assert 'aria-label="Some title"' in drawing
    assert "var(--series-2)" in drawing
    assert "currentColor" in drawing
    assert not any(f"#0000{n:02d}" in drawing for n in (1, 2, 3, 11, 12, 13, 14, 15))
    assert 'id="mine-1-' in drawing
    assert drawing.count('id="') == drawing.count('id="mine-1-')
    assert drawing.count("url(#") == drawing.count("url(#mine-1-") > 0
    assert drawing == svg("mine-1", "Some title", draw)
