"""Charts as data: what a chart shows and how it looks, sampled from a seeded generator.

Everything is small on purpose, a handful of names and the values 1 to 6, so that a model of 1.9 M parameters learns to
read them within an hour on one core. ``drawing`` turns a chart into pixels, ``questions`` asks about it.
"""

import random
from dataclasses import dataclass
from enum import StrEnum

from services.training.shared.images import RGB

CATEGORY_NAMES = ("Oslo", "Rome", "Lima", "Kyiv", "Bern", "Doha", "Cork", "Nuuk")
SERIES_NAMES = ("Tea", "Milk", "Rice", "Wool")
CATEGORY_TITLES = ("City", "Port", "Office", "Depot")
VALUE_TITLES = ("Sales", "Price", "Weight", "Hours")

MAX_VALUE = 6
"""The highest value; the axis always runs from 0 to this."""
MAX_SHIFT_PIXELS = 4

PALETTES: tuple[tuple[RGB, RGB, RGB], ...] = (
    ((31, 98, 170), (226, 116, 28), (60, 150, 70)),
    ((178, 34, 52), (70, 70, 80), (218, 165, 32)),
    ((0, 128, 128), (140, 60, 150), (230, 90, 90)),
    ((85, 107, 47), (30, 60, 120), (200, 80, 20)),
    ((20, 20, 20), (130, 130, 130), (190, 60, 60)),
    ((100, 70, 200), (20, 150, 120), (240, 150, 20)),
)
BACKGROUNDS: tuple[RGB, ...] = ((255, 255, 255), (247, 247, 240), (234, 240, 248), (240, 240, 240))


class ChartType(StrEnum):
    """How the values are drawn; the member's value is the answer to "What type of chart is it?"."""

    BAR = "Bar chart"
    LINE = "Line chart"
    AREA = "Area chart"
    SCATTER = "Scatter plot"


class Marker(StrEnum):
    """The shape of a point in a line chart or scatter plot."""

    DISC = "disc"
    SQUARE = "square"
    DIAMOND = "diamond"


@dataclass(frozen=True, slots=True)
class ChartStyle:
    """How a chart looks; nothing here changes an answer."""

    palette: tuple[RGB, RGB, RGB]
    background: RGB
    grid: bool
    frame: bool
    tick_step: int
    bar_share: float
    marker: Marker
    line_width: int
    legend_right: bool
    shift: tuple[int, int]
    """Pixels right and down by which everything is moved."""
    jpeg_quality: int | None
    """Quality of the JPEG round trip; ``None`` if there is none."""


@dataclass(frozen=True, slots=True)
class Series:
    """A data series; ``values[i]`` belongs to the chart's category ``i``."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows, and its style."""

    chart_type: ChartType
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    category_title: str
    value_title: str
    legend: bool
    style: ChartStyle

    @property
    def table(self) -> dict[str, int]:
        """Values of the first series by category, in drawing order; most charts have only this series."""
        return dict(zip(self.categories, self.series[0].values, strict=True))


def _chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def sample_style(rng: random.Random, max_shift: int = MAX_SHIFT_PIXELS) -> ChartStyle:
    """A style, shifted by up to ``max_shift`` pixels along each axis."""
    return ChartStyle(
        palette=rng.choice(PALETTES),
        background=rng.choice(BACKGROUNDS),
        grid=_chance(rng, 0.6),
        frame=_chance(rng, 0.5),
        tick_step=rng.choice((1, 2)),
        bar_share=rng.uniform(0.5, 0.85),
        marker=rng.choice(tuple(Marker)),
        line_width=rng.choice((2, 3)),
        legend_right=_chance(rng, 0.5),
        shift=(rng.randint(-max_shift, max_shift), rng.randint(-max_shift, max_shift)),
        jpeg_quality=rng.randint(85, 96) if _chance(rng, 0.3) else None,
    )


def sample_chart(rng: random.Random, max_shift: int = MAX_SHIFT_PIXELS) -> Chart:
    """A chart of 2 to 4 categories; two in three charts have one series. Its values all differ, so ranks are clear."""
    size = rng.randint(2, 4)
    count = rng.choice((1, 1, 1, 1, 2, 3))
    names = rng.sample(SERIES_NAMES, count)
    return Chart(
        chart_type=rng.choice(tuple(ChartType)),
        categories=tuple(rng.sample(CATEGORY_NAMES, size)),
        series=tuple(Series(name, tuple(rng.sample(range(1, MAX_VALUE + 1), size))) for name in names),
        category_title=rng.choice(CATEGORY_TITLES),
        value_title=rng.choice(VALUE_TITLES),
        legend=count > 1 or _chance(rng, 0.3),
        style=sample_style(rng, max_shift),
    )
