"""The figures of a comparison: quality against latency, and the differences with their intervals."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from clients.replay.analysis.bootstrap import Interval
from clients.replay.analysis.comparison import Comparison
from clients.replay.analysis.scores import RunReport
from clients.replay.report.page import headline
from clients.replay.report.svg import INK, MUTED, SERIES, svg

_WIDE_INCHES = (5.0, 3.6)


def quality_and_latency(reports: Sequence[RunReport]) -> Markup:
    """Each run's headline score against its median latency, with 95 % intervals; up and to the left is better."""

    def draw(axes: Axes) -> None:
        for place, report in enumerate(reports):
            if report.overall is None or report.latency is None:
                continue
            score, latency = headline(report, report.overall), report.latency
            p50_ms = latency.parts[-1].p50_ms
            axes.errorbar(
                p50_ms,
                score.value,
                xerr=_reach([p50_ms], [latency.p50_interval]),
                yerr=_reach([score.value], [(score.low, score.high)]),
                fmt="o",
                color=SERIES[place % len(SERIES)],
                capsize=3,
                markersize=7,
                label=f"{report.name} (n = {report.answered})",
            )
        axes.set_xlabel("median client latency, milliseconds")
        axes.set_ylabel(reports[0].task.headline.label.lower())
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.margins(0.18)
        axes.set_xlim(left=0)
        axes.legend(loc="best", fontsize=9)

    return svg("quality-latency", "Quality against latency, 95 % intervals", draw, _WIDE_INCHES)


def differences(comparisons: Sequence[Comparison], labels: dict[str, str]) -> Markup:
    """Each metric's difference from the reference run in points, with its interval; one colour per run."""
    names = [entry.metric for entry in comparisons[0].differences if entry.metric in labels]

    def draw(axes: Axes) -> None:
        offsets = np.linspace(-0.25, 0.25, len(comparisons)) if len(comparisons) > 1 else [0.0]
        for place, comparison in enumerate(comparisons):
            found = {entry.metric: entry for entry in comparison.differences}
            shown = [found[name] for name in names]
            values = [entry.difference for entry in shown]
            axes.errorbar(
                values,
                np.arange(len(names)) + offsets[place],
                xerr=_reach(values, [(entry.low, entry.high) for entry in shown]),
                fmt="o",
                color=SERIES[(place + 1) % len(SERIES)],
                capsize=3,
                label=f"{comparison.other} (n = {comparison.n})",
            )
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(names)), [labels[name] for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(f"difference from {comparisons[0].reference}, in points")
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1, symbol=""))
        axes.legend(loc="best", fontsize=9)
        axes.tick_params(axis="y", labelcolor=MUTED)

    return svg("differences", "Differences, question by question", draw, _WIDE_INCHES)


def _reach(values: Sequence[float], intervals: Sequence[Interval]) -> list[list[float]]:
    """The error bars' lengths; clipped at 0, since a resampled interval may just miss its estimate."""
    below = [max(value - low, 0.0) for value, (low, _) in zip(values, intervals, strict=True)]
    above = [max(high - value, 0.0) for value, (_, high) in zip(values, intervals, strict=True)]
    return [below, above]
