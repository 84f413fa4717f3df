import random
from collections import Counter

from services.training.tiny_matcha.charts import MAX_SHIFT_PIXELS, MAX_VALUE, ChartType, sample_chart
from services.training.tiny_matcha.drawing import HEIGHT, WIDTH, draw_chart


def test_a_seed_gives_the_same_chart_and_the_same_pixels() -> None:
    first, again = (sample_chart(random.Random("x")) for _ in range(2))
    assert first == again
    assert draw_chart(first).tobytes() == draw_chart(again).tobytes()


def test_charts_are_what_the_card_says() -> None:
    rng = random.Random(1)
    charts = [sample_chart(rng) for _ in range(300)]
    assert Counter(chart.chart_type for chart in charts).keys() == set(ChartType)
    for chart in charts:
        assert 2 <= len(chart.categories) <= 4
        assert len(set(chart.categories)) == len(chart.categories)
        assert 1 <= len(chart.series) <= 3
        assert chart.legend or len(chart.series) == 1
        assert max(map(abs, chart.style.shift)) <= MAX_SHIFT_PIXELS
        for series in chart.series:
            assert len(set(series.values)) == len(chart.categories)
            assert all(1 <= value <= MAX_VALUE for value in series.values)


def test_every_chart_type_and_style_is_drawn() -> None:
    rng = random.Random(2)
    pictures = [draw_chart(sample_chart(rng)) for _ in range(60)]
    assert all(picture.size == (WIDTH, HEIGHT) and picture.mode == "RGB" for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_shifting_moves_the_drawing_and_nothing_else() -> None:
    still = sample_chart(random.Random(3), max_shift=0)
    assert still.style.shift == (0, 0)
