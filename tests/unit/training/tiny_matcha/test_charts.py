import dataclasses
import random
from collections import Counter

import numpy as np
import pytest

from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS, MAX_VALUE, Chart, ChartType, sample_chart
from services.training.tiny_matcha.data.drawing import HEIGHT, WIDTH, draw_chart


def test_a_seed_gives_the_same_chart_and_the_same_pixels() -> None:
    first, again = (sample_chart(random.Random("x")) for _ in range(2))
    assert first == again
    assert draw_chart(first).tobytes() == draw_chart(again).tobytes()
    assert sample_chart(random.Random("y")) != first


def test_charts_are_what_the_card_says() -> None:
    rng = random.Random(1)
    charts = [sample_chart(rng) for _ in range(300)]
    types = Counter(chart.chart_type for chart in charts)
    assert all(45 < types[each] < 105 for each in ChartType)  # 75, give or take 4 standard deviations
    assert {len(chart.categories) for chart in charts} == {2, 3, 4}
    assert {len(chart.series) for chart in charts} == {1, 2, 3}
    assert 165 < sum(len(chart.series) == 1 for chart in charts) < 235  # two of three
    assert {chart.legend for chart in charts if len(chart.series) == 1} == {True, False}
    assert all(chart.legend for chart in charts if len(chart.series) > 1)
    for axis in (0, 1):
        shifts = {chart.style.shift[axis] for chart in charts}
        assert shifts == set(range(-MAX_SHIFT_PIXELS, MAX_SHIFT_PIXELS + 1))
    assert {value for chart in charts for series in chart.series for value in series.values} == set(
        range(1, MAX_VALUE + 1)
    )
    for chart in charts:
        assert len(set(chart.categories)) == len(chart.categories)
        for series in chart.series:
            assert len(set(series.values)) == len(series.values) == len(chart.categories)


def test_a_table_is_of_the_first_series_in_the_order_drawn() -> None:
    charts = (sample_chart(random.Random(seed)) for seed in range(100))
    chart = next(chart for chart in charts if len(chart.series) == 3)
    assert list(chart.table.items()) == list(zip(chart.categories, chart.series[0].values, strict=True))


def test_every_chart_type_and_style_is_drawn() -> None:
    rng = random.Random(2)
    images = [draw_chart(sample_chart(rng)) for _ in range(60)]
    assert all(image.size == (WIDTH, HEIGHT) and image.mode == "RGB" for image in images)
    assert len({image.tobytes() for image in images}) == len(images)


def _shifted(chart: Chart, shift: tuple[int, int]) -> Chart:
    return dataclasses.replace(chart, style=dataclasses.replace(chart.style, shift=shift, jpeg_quality=None))


@pytest.mark.parametrize("seed", range(6))
def test_shifting_moves_the_drawing_right_and_down_and_nothing_else(seed: int) -> None:
    still = _shifted(sample_chart(random.Random(seed), max_shift=0), (0, 0))
    before = np.asarray(draw_chart(still))
    moved = np.asarray(draw_chart(_shifted(still, (3, 2))))
    assert (moved[6:, 7:] == before[4:-2, 4:-3]).all()
    assert not (moved == before).all()


def test_without_shifts_nothing_is_moved() -> None:
    assert {sample_chart(random.Random(seed), max_shift=0).style.shift for seed in range(20)} == {(0, 0)}
