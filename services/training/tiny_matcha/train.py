"""Trains the embedded MatCha from a seed, measures it, and writes its folder with a model card."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from transformers import Pix2StructForConditionalGeneration

from services.common.artifact.manifest import Source
from services.common.artifact.writer import whole_folder
from services.training.shared.folder import seal_trained
from services.training.shared.machine import machine
from services.training.shared.progress import TrainingProgress
from services.training.tiny_matcha.data.held_out import held_out
from services.training.tiny_matcha.data.outside import conditions
from services.training.tiny_matcha.learning.fitting import Progress, fit
from services.training.tiny_matcha.learning.recipe import STAGES, Recipe
from services.training.tiny_matcha.model.answering import Answerer
from services.training.tiny_matcha.model.network import MAX_PATCHES
from services.training.tiny_matcha.model.saving import save_model
from services.training.tiny_matcha.model.tokenizer import build_tokenizer
from services.training.tiny_matcha.results.card import Measurements, write_card
from services.training.tiny_matcha.results.evaluate import QUESTIONS_PER_KIND, score


def train(out: Path, seed: int, stages: Sequence[Recipe] = STAGES, per_kind: int = QUESTIONS_PER_KIND) -> None:
    """Train, measure and write the model folder ``out``, which is replaced only once the new one is complete.

    ``per_kind`` is the number of held-out questions of each kind; outside the training distribution, an eighth of it.
    """
    network, history = fit_stages(stages, seed)
    with whole_folder(out) as folder:
        save_model(network, build_tokenizer(), folder)
        finish(folder, stages, seed, history, per_kind)


def fit_stages(stages: Sequence[Recipe], seed: int) -> tuple[Pix2StructForConditionalGeneration, list[Progress]]:
    """Fit one stage after the other; the history counts steps, examples and seconds across all stages."""
    network, history = None, list[Progress]()
    with TrainingProgress(sum(stage.steps for stage in stages)) as shown:
        for stage in stages:
            before = history[-1] if history else None

            def report(progress: Progress, before: Progress | None = before) -> None:
                history.append(progress if before is None else progress.after(before))
                shown.show(history[-1].step, history[-1].summary())

            network = fit(stage, seed, report, network)
    if network is None:
        message = "a training needs at least one stage"
        raise ValueError(message)
    return network, history


def finish(folder: Path, stages: Sequence[Recipe], seed: int, history: list[Progress], per_kind: int) -> None:
    """Measure the model saved in ``folder`` and add the card, its figure, the measurements and the manifest."""
    answerer = Answerer(folder)
    outside = conditions(seed, max(per_kind // 8, 1))
    measured = Measurements(
        seed=seed,
        stages=[asdict(stage) for stage in stages],
        parameters=answerer.parameters,
        machine=machine(),
        history=history,
        held_out=score(answerer, list(held_out(seed, per_kind))),
        outside={condition.name: score(answerer, condition.asked) for condition in outside},
    )
    write_card(folder, measured)
    source = Source(id="tallyglass/tiny-matcha", revision=f"seed-{seed}")
    seal_trained(folder, "Pix2StructForConditionalGeneration", source, max_patches=MAX_PATCHES)
