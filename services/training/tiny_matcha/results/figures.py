"""The figure of the model card."""

from pathlib import Path

import matplotlib as mpl

from services.training.shared.figures import saved_figure
from services.training.tiny_matcha.learning.fitting import Progress


def draw_curves(history: list[Progress], path: Path) -> None:
    """Losses, and exact match on validation charts by kind, over the examples seen."""
    samples = [progress.samples / 1000 for progress in history]
    with (
        mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}),
        saved_figure(path, 10, 4, dpi=120) as figure,
    ):
        losses, scores = figure.subplots(1, 2)
        losses.plot(samples, [progress.answer_loss for progress in history], label="answer")
        losses.plot(samples, [progress.teaching_loss for progress in history], label="teaching text")
        losses.set(
            xlabel="examples seen, in thousands",
            ylabel="cross-entropy per token",
            title="Training loss",
            ylim=(0, None),
        )
        losses.legend(frameon=False)
        colours = mpl.colormaps["tab20"]
        for index, kind in enumerate(history[0].exact_match):
            values = [100 * progress.exact_match[kind] for progress in history]
            scores.plot(samples, values, label=kind, color=colours(index), linewidth=1.2)
        scores.set(xlabel="examples seen, in thousands", ylabel="exact match, %", title="Validation", ylim=(0, 102))
        scores.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
