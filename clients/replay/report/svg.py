"""Figures as inline SVG in the page's colours, so that one figure works in light and dark mode.

matplotlib draws with placeholder colours, which are then replaced by ``currentColor`` and by CSS variables of the
page. Text stays text, in the page's font.
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType

INK: Final = "#000001"
MUTED: Final = "#000002"
GRID: Final = "#000003"
SERIES: Final = ("#000011", "#000012", "#000013", "#000014", "#000015")
_CSS: Final = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    **{stand_in: f"var(--series-{number})" for number, stand_in in enumerate(SERIES, start=1)},
}
SIZE_INCHES: Final = (4.3, 3.1)
_STYLE: Final[dict[RcKeyType, Any]] = {  # Any: types of matplotlib's settings
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 2.2,
    "lines.markersize": 4.5,
}


def layer_axis(axes: Axes) -> None:
    """The x axis of a figure over layers."""
    axes.set_xlabel("layer (0 is the embedding)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def share_axis(axes: Axes, label: str) -> None:
    """The y axis of a figure of shares, from 0 to 100 %."""
    axes.set_ylabel(label)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


_STRONGEST: Final = 0.75  # text on it must stay readable


def cells(axes: Axes, shares: Sequence[Sequence[float]], texts: Sequence[Sequence[str]] | None = None) -> None:
    """A heat map of shares, row by row from the top."""
    for row, values in enumerate(shares):
        for column, share in enumerate(values):
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=SERIES[0], alpha=_STRONGEST * share, linewidth=0))
            if texts:
                axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, max(map(len, shares)) - 0.5)
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.grid(visible=False)


def svg(name: str, title: str, draw: Callable[[Axes], None], size_inches: tuple[float, float] = SIZE_INCHES) -> Markup:
    """A figure with one pair of axes; ``name`` makes its ids unique on the page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size_inches, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        draw(axes)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return Markup(_themed(buffer.getvalue(), name, title))  # noqa: S704 - drawn here, from trusted text


def _themed(svg: str, name: str, title: str) -> str:
    tag, _, body = svg[svg.index("<svg") :].partition(">")
    tag = re.sub(r' (?:xmlns[:a-z]*|width|height|version)="[^"]*"', "", tag)  # sized by the page's style
    svg = f"{tag}>{body}"
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'font-family: [^;"]*', "font-family: inherit", svg)
    for stand_in, css in _CSS.items():
        svg = svg.replace(stand_in, css)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
