"""The figures of one run. ``number`` is the run's position on the page; it makes ids unique."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from clients.replay.analysis.columns import RunColumns
from clients.replay.analysis.counts import LARGEST, CountMeasurements
from clients.replay.analysis.lens import LensMeasurements
from clients.replay.report.svg import MUTED, SERIES, cells, layer_axis, share_axis, svg

_CURVES = (("client", SERIES[0], "-"), ("inference", SERIES[1], "--"), ("queue", SERIES[2], ":"))
_CURVE_POINTS = 201  # with a point per answer, two hundred thousand answers would take megabytes


def lens_accuracy(figures: LensMeasurements, number: int) -> Markup:
    """Accuracy per layer in both readings, with 95 % intervals, over the majority baseline."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        for label, style, color, values, intervals in (
            (
                "any script",
                "o-",
                SERIES[0],
                [layer.accuracy_any for layer in figures.layers],
                [layer.accuracy_any_interval for layer in figures.layers],
            ),
            (
                "digits, English",
                "s--",
                SERIES[1],
                [layer.accuracy_latin for layer in figures.layers],
                [layer.accuracy_latin_interval for layer in figures.layers],
            ),
        ):
            low, high = zip(*intervals, strict=True)
            axes.fill_between(layers, low, high, color=color, alpha=0.16, linewidth=0)
            axes.plot(layers, values, style, color=color, label=label)
        axes.axhline(figures.baseline, color=MUTED, linewidth=1, linestyle=":", label="majority baseline")
        layer_axis(axes)
        share_axis(axes, "accuracy of the top token")
        axes.legend(loc="best", fontsize=9)

    return svg(f"lens-accuracy-{number}", f"Accuracy per layer (n = {figures.n})", draw)


def lens_han(figures: LensMeasurements, number: int) -> Markup:
    """Share of traces per layer with a Han character among the top k tokens, for every k."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        for k in range(figures.top_k, 0, -1):
            shares = [layer.han_share[k - 1] for layer in figures.layers]
            axes.plot(layers, shares, "o-", color=SERIES[2], alpha=0.3 + 0.7 / k, label=f"top {k}")
        layer_axis(axes)
        share_axis(axes, "traces with a Han character")
        axes.legend(loc="best", fontsize=9)

    return svg(f"lens-han-{number}", f"Han script in the top tokens (n = {figures.n})", draw)


def lens_answers(figures: LensMeasurements, number: int) -> Markup:
    """Heat map of accuracy per layer and gold count."""

    def draw(axes: Axes) -> None:
        cells(axes, [answer.accuracy for answer in figures.answers])
        axes.set_yticks(range(len(figures.answers)), [f"{answer.gold}  (n = {answer.n})" for answer in figures.answers])
        axes.set_ylabel("gold count")
        layer_axis(axes)

    return svg(f"lens-answers-{number}", f"Accuracy by count (n = {figures.n})", draw)


def lens_settling(figures: LensMeasurements, number: int) -> Markup:
    """Distribution of the layer from which the top token stays right; the last bar is "never"."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        shares = [layer.settled for layer in figures.layers]
        axes.bar(layers, shares, color=SERIES[0], width=0.75, label="settles at this layer")
        axes.bar([len(layers) + 0.5], [figures.never_settled], color=MUTED, width=0.75, label="wrong at the last layer")
        axes.plot(layers, np.cumsum(shares), color=SERIES[1], drawstyle="steps-post", label="settled so far")
        layer_axis(axes)
        step = max(1, round(len(layers) / 8))
        named = [layer for layer in layers[::step] if layer <= len(layers) - step]  # room for the last label
        axes.set_xticks([*named, len(layers) + 0.5], [*map(str, named), "never"])
        share_axis(axes, "share of traces")
        axes.legend(loc="upper left", fontsize=9)

    return svg(f"lens-settling-{number}", f"Where the answer settles (n = {figures.n})", draw)


def lens_entropy(figures: LensMeasurements, number: int) -> Markup:
    """Mean entropy per layer, and its interquartile range."""

    def draw(axes: Axes) -> None:
        layers = [layer.layer for layer in figures.layers]
        low, high = zip(*(layer.entropy_quartiles for layer in figures.layers), strict=True)
        axes.fill_between(layers, low, high, color=SERIES[3], alpha=0.16, linewidth=0, label="interquartile range")
        axes.plot(layers, [layer.entropy for layer in figures.layers], "o-", color=SERIES[3], label="mean")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("entropy, nats")
        axes.legend(loc="best", fontsize=9)
        layer_axis(axes)

    return svg(f"lens-entropy-{number}", f"Entropy per layer (n = {figures.n})", draw)


def confusion(figures: CountMeasurements, number: int) -> Markup:
    """Confusion matrix of gold and answered counts, shaded by the share of the row."""
    table = np.array(figures.confusion)
    rows = np.flatnonzero(table.sum(axis=1))
    last = int(max(rows.max(), np.flatnonzero(table[:, : LARGEST + 1].sum(axis=0)).max(initial=0)))
    shown = np.column_stack([table[: last + 1, : last + 1], table[: last + 1, last + 1 :].sum(axis=1)])
    shares = shown / np.maximum(shown.sum(axis=1, keepdims=True), 1)

    def draw(axes: Axes) -> None:
        cells(axes, shares.tolist(), [[f"{n}" if n else "" for n in row] for row in shown.tolist()])
        axes.set_xticks(range(last + 2), [*map(str, range(last + 1)), "other"])
        axes.set_yticks(range(last + 1))
        axes.tick_params(labelsize=10 if last < 10 else 7)  # noqa: PLR2004 - two digits need more room
        axes.set_xlabel("answered count")
        axes.set_ylabel("gold count")

    return svg(f"confusion-{number}", f"Confusion of counts (n = {int(shown.sum())})", draw)


def latency_ecdf(columns: RunColumns, number: int) -> Markup:
    """Cumulative distribution of the latency, for the whole and two of its parts."""
    shares = np.linspace(0, 1, min(_CURVE_POINTS, columns.n + 1))

    def draw(axes: Axes) -> None:
        for part, color, line in _CURVES:
            durations_ms = np.quantile(columns.numbers[part], shares)
            axes.plot(durations_ms, shares, color=color, linestyle=line, label=part, drawstyle="steps-post")
        axes.set_xlim(left=0)
        axes.set_xlabel("milliseconds")
        share_axis(axes, "share of answers")
        axes.legend(loc="best", fontsize=9)

    return svg(f"latency-{number}", f"Latency (n = {columns.n})", draw)
