"""The figures of the model card."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from services.training.shared.figures import saved_figure
from services.training.tiny_qwen_vl.data.cases import held_out_cases
from services.training.tiny_qwen_vl.data.questions import KINDS
from services.training.tiny_qwen_vl.results.evaluate import LayerScore
from services.training.tiny_qwen_vl.results.record import Training

_CHANCE = 100 / 6
_DPI = 110
_ROWS, _COLUMNS = 2, 4


def draw_curves(training: Training, path: Path) -> None:
    """Loss, and accuracy on validation images, over the steps."""
    with saved_figure(path, 9, 3.2, dpi=_DPI) as figure:
        left, right = figure.subplots(1, 2)
        left.plot([point.step for point in training.losses], [point.loss for point in training.losses], color="C0")
        left.axvline(training.settings.seeing.steps, color="0.6", linewidth=0.8, linestyle=":")
        left.text(
            training.settings.seeing.steps,
            1.0,
            " answering begins",
            fontsize=8,
            transform=left.get_xaxis_transform(),
            va="top",
        )
        left.set(xlabel="step", ylabel="loss, nats", yscale="log", title="Loss")
        steps = [checkpoint.step for checkpoint in training.checkpoints]
        right.plot(steps, [checkpoint.accuracy for checkpoint in training.checkpoints], marker="o", color="C0")
        _percent_axis(right, "Accuracy on validation images")
        right.set_xlabel("step")


def draw_lens(layers: tuple[LayerScore, ...], path: Path) -> None:
    """What each layer would have answered."""
    with saved_figure(path, 7, 3.6, dpi=_DPI) as figure:
        axes = figure.subplots()
        numbers = [layer.layer for layer in layers]
        axes.plot(numbers, [layer.accuracy for layer in layers], marker="o", label="right count, digit or Han numeral")
        axes.plot(
            numbers, [layer.digit_accuracy for layer in layers], marker="s", label="right digit, English questions"
        )
        axes.plot(
            numbers,
            [layer.han_in_top for layer in layers],
            marker="^",
            linestyle="--",
            label="a Han numeral in the top 5, English questions",
        )
        _percent_axis(axes, "What each layer would have answered")
        axes.set(xlabel="layer (0 is the embedding)", xticks=numbers)
        axes.legend(fontsize=8)


def draw_examples(path: Path) -> None:
    """Some held-out images, each with its question and the right answer."""
    cases = [case for case in held_out_cases(per_cell=1) if case.question.language == "en" and case.question.answer]
    by_kind = [[case for case in cases if case.question.kind == kind][1:3] for kind in KINDS]
    with saved_figure(path, 9, 5.2, dpi=_DPI) as figure:
        for axes, case in zip(figure.subplots(_ROWS, _COLUMNS).flat, sum(zip(*by_kind, strict=True), ()), strict=True):
            axes.imshow(np.asarray(case.image))
            axes.set_title(case.question.text, fontsize=7)
            axes.set_xlabel(str(case.question.answer), fontsize=9)
            axes.set(xticks=[], yticks=[])


def _percent_axis(axes: Axes, title: str) -> None:
    axes.axhline(_CHANCE, color="0.6", linewidth=0.8, linestyle=":", label="chance")
    axes.set(ylabel="%", ylim=(-2, 102), title=title)
