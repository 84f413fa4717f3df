"""Charts with the same content in looks that training never saw: matplotlib's styles, fonts and layouts.

They show the limits of the model, in its card and in ``clients/samples/realcqa-shifted``.
"""

import io
import random
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from services.training.tiny_matcha.data.charts import MAX_VALUE, Chart, ChartType

STYLES = ("default", "ggplot", "bmh", "Solarize_Light2", "seaborn-v0_8-pastel", "dark_background")
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
SIZES_INCHES = ((3.2, 2.2), (4.0, 2.4), (4.6, 3.4))
DPI = 100


@dataclass(frozen=True, slots=True)
class MatplotlibLook:
    """A style of matplotlib with a font, a size and details."""

    style: str
    font: str
    size_inches: tuple[float, float]
    hatch: str | None
    value_labels: bool


def sample_look(rng: random.Random) -> MatplotlibLook:
    """A random look."""
    return MatplotlibLook(
        style=rng.choice(STYLES),
        font=rng.choice(FONTS),
        size_inches=rng.choice(SIZES_INCHES),
        hatch=rng.choice((None, None, "//")),
        value_labels=rng.choice((True, False, False)),
    )


def draw_shifted(chart: Chart, look: MatplotlibLook) -> Image.Image:
    """The chart in this look, as an RGB image; the chart's own style is ignored."""
    with style.context(look.style), rc_context({"font.family": look.font, "font.size": 9}):
        figure = Figure(figsize=look.size_inches, dpi=DPI, layout="constrained")
        axes = figure.add_subplot()
        for index, _ in enumerate(chart.series):
            _draw_series(axes, chart, index, look)
        _label(axes, chart)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _draw_series(axes: Axes, chart: Chart, index: int, look: MatplotlibLook) -> None:
    series = chart.series[index]
    slots = np.arange(len(chart.categories), dtype=float)
    values = np.array(series.values)
    width = 0.7 / len(chart.series)
    offsets = slots - 0.35 + (index + 0.5) * width
    match chart.chart_type:
        case ChartType.BAR:
            bars = axes.bar(offsets, values, width, label=series.name, hatch=look.hatch)
        case ChartType.AREA:
            axes.fill_between(slots, values, alpha=0.6, label=series.name)
            return
        case ChartType.LINE:
            axes.plot(slots, values, marker="^", label=series.name)
            return
        case ChartType.SCATTER:
            axes.scatter(slots, values, marker="x", label=series.name)
            return
    if look.value_labels:
        axes.bar_label(bars)


def _label(axes: Axes, chart: Chart) -> None:
    slots = range(len(chart.categories))
    axes.set_xticks(slots, chart.categories)
    axes.set_xlim(-0.6, len(chart.categories) - 0.4)
    axes.set_ylim(0, MAX_VALUE * 1.08)
    axes.set_xlabel(chart.category_title)
    axes.set_ylabel(chart.value_title)
    if chart.legend:
        axes.legend(fontsize=8)
