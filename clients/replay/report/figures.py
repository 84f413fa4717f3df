"""Figures as inline SVG whose colours are the page's: one drawing serves light and dark.

matplotlib draws with stand-in colours, which are then replaced by ``currentColor`` and by CSS variables of the page's
style. Text stays text, in the page's own font. ``number`` is the run's place on the page: it keeps ids apart.
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType

from clients.replay.latency import latencies_ms
from clients.replay.lens_metrics import LensFigures
from clients.replay.outcomes import Scored

_INK: Final = "#000001"
_MUTED: Final = "#000002"
_GRID: Final = "#000003"
_SERIES: Final = ("#000011", "#000012", "#000013", "#000014", "#000015")
_CSS: Final = {
    _INK: "currentColor",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    **{stand_in: f"var(--series-{number})" for number, stand_in in enumerate(_SERIES, start=1)},
}
_SIZE_INCHES: Final = (4.3, 3.1)
_STYLE: Final[dict[RcKeyType, Any]] = {  # Any: matplotlib's own types of its settings
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "axes.titlecolor": _INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _GRID,
    "ytick.color": _GRID,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "text.color": _INK,
    "legend.frameon": False,
    "legend.labelcolor": _MUTED,
    "lines.linewidth": 2.2,
    "lines.markersize": 4.5,
}


def lens_accuracy(figures: LensFigures, number: int) -> Markup:
    """Accuracy per layer in both readings, over the majority baseline."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        axes.plot(layers, [layer.accuracy_any for layer in figures.layers], "o-", color=_SERIES[0], label="any script")
        axes.plot(
            layers, [layer.accuracy_latin for layer in figures.layers], "s--", color=_SERIES[1], label="digits, English"
        )
        axes.axhline(figures.baseline, color=_MUTED, linewidth=1, linestyle=":", label="majority baseline")
        _layer_axis(axes)
        _share_axis(axes, "accuracy of the best token")

    return _svg(f"lens-accuracy-{number}", f"Accuracy per layer (n = {figures.n})", draw)


def lens_han(figures: LensFigures, number: int) -> Markup:
    """Share of traces per layer with a Han character among the k best tokens."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        for k in sorted({1, min(3, figures.top_k), figures.top_k}, reverse=True):
            shares = [layer.han_share[k - 1] for layer in figures.layers]
            axes.plot(layers, shares, "o-", color=_SERIES[2], alpha=0.35 + 0.65 / k, label=f"top {k}")
        _layer_axis(axes)
        _share_axis(axes, "traces with a Han character")

    return _svg(f"lens-han-{number}", f"Han script in the top tokens (n = {figures.n})", draw)


def lens_entropy(figures: LensFigures, number: int) -> Markup:
    """Mean entropy per layer."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        axes.plot(layers, [layer.entropy for layer in figures.layers], "o-", color=_SERIES[3])
        axes.set_ylim(bottom=0)
        axes.set_ylabel("mean entropy, nats")
        _layer_axis(axes)

    return _svg(f"lens-entropy-{number}", f"Entropy per layer (n = {figures.n})", draw)


def latency_ecdf(outcomes: Sequence[Scored], number: int) -> Markup:
    """Share of answers that took at most so long, for the whole and two of its parts."""

    def draw(axes: Axes) -> None:
        for part, color, line in (
            ("client", _SERIES[0], "-"),
            ("inference", _SERIES[1], "--"),
            ("queue", _SERIES[2], ":"),
        ):
            axes.ecdf(latencies_ms(outcomes, part), color=color, linestyle=line, label=part)
        axes.set_xlim(left=0)
        axes.set_xlabel("milliseconds")
        _share_axis(axes, "share of answers")

    return _svg(f"latency-{number}", f"Latency (n = {len(outcomes)})", draw)


def _layer_axis(axes: Axes) -> None:
    axes.set_xlabel("layer (0 is the embedding)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _share_axis(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.legend(loc="best", fontsize=9)


def _svg(name: str, title: str, draw: Callable[[Axes], None]) -> Markup:
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        draw(axes)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return Markup(_themed(buffer.getvalue(), name, title))  # noqa: S704 - drawn here, from numbers and our own words


def _themed(svg: str, name: str, title: str) -> str:
    tag, _, body = svg[svg.index("<svg") :].partition(">")
    tag = re.sub(r' (?:xmlns[:a-z]*|width|height|version)="[^"]*"', "", tag)  # the page's style sizes it
    svg = f"{tag}>{body}"
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'font-family: [^;"]*', "font-family: inherit", svg)
    for stand_in, css in _CSS.items():
        svg = svg.replace(stand_in, css)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
