"""Trains the embedded Qwen2-VL from a seed, measures it, and writes its folder with a model card."""

import random
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Final

from services.common.artifact.manifest import Source
from services.common.artifact.writer import whole_folder
from services.training.shared.folder import seal_trained
from services.training.shared.machine import machine
from services.training.shared.progress import TrainingProgress
from services.training.shared.weights import parameter_count
from services.training.tiny_qwen_vl.data.cases import HELD_OUT, Case
from services.training.tiny_qwen_vl.learning.settings import Settings
from services.training.tiny_qwen_vl.learning.trainer import Trainer
from services.training.tiny_qwen_vl.model.saving import save_model
from services.training.tiny_qwen_vl.results.card import write_card
from services.training.tiny_qwen_vl.results.evaluate import ask_all, evaluate, layer_scores, score
from services.training.tiny_qwen_vl.results.record import Checkpoint, LossPoint, Record, Training

_STEPS_PER_POINT: Final = 25
_STEPS_PER_CHECKPOINT: Final = 200
_CHECKPOINT_PER_CELL: Final = 4


def train(out: Path, seed: int, settings: Settings | None = None, cases_per_cell: int | None = None) -> None:
    """Train, measure and write the model folder ``out``, which is replaced only once the new one is complete.

    Args:
        out: the model's folder.
        seed: of the initial weights and the training images; the held-out images do not depend on it.
        settings: how to train; ``seed`` replaces theirs.
        cases_per_cell: number of questions for each language, kind and answer; tests take few.
    """
    settings = replace(settings or Settings(), seed=seed)
    with whole_folder(out) as folder:
        trainer = Trainer(settings)
        training = watch(trainer)
        save_model(trainer.model, folder)
        describe(training, folder, cases_per_cell)


def describe(training: Training, folder: Path, cases_per_cell: int | None = None) -> None:
    """Measure the model saved in ``folder`` and add the record, the card, its figures and the manifest."""
    results = evaluate(folder) if cases_per_cell is None else evaluate(folder, cases_per_cell, cases_per_cell)
    record = Record(training, results)
    write_card(record, folder)
    source = Source(id="tallyglass/tiny-qwen2-vl", revision=f"seed-{training.settings.seed}")
    seal_trained(folder, "Qwen2VLForConditionalGeneration", source)


def watch(trainer: Trainer) -> Training:
    """Train to the end, showing the progress, and return what was recorded."""
    validation = HELD_OUT.sample(random.Random("tiny-qwen2-vl validation"), _CHECKPOINT_PER_CELL)
    settings, started, cpu_started = trainer.settings, time.monotonic(), time.process_time()
    losses: list[float] = []
    points: list[LossPoint] = []
    checkpoints: list[Checkpoint] = []
    with TrainingProgress(settings.steps) as progress:
        for step in trainer.run():
            losses.append(step.loss)
            last = step.number == settings.steps
            if last or (step.number % _STEPS_PER_CHECKPOINT == 0 and step.number > settings.seeing.steps):
                checkpoints.append(_checkpoint(trainer, validation, step.number))
            if last or step.number % _STEPS_PER_POINT == 0:
                points.append(LossPoint(step.number, fmean(losses[-_STEPS_PER_POINT:])))
                progress.show(step.number, _summary(points[-1], checkpoints))
    return Training(
        settings=settings,
        parameters=parameter_count(trainer.model.network),
        minutes=(time.monotonic() - started) / 60,
        cpu_minutes=(time.process_time() - cpu_started) / 60,
        machine=machine(),
        losses=tuple(points),
        checkpoints=tuple(checkpoints),
    )


def _summary(point: LossPoint, checkpoints: list[Checkpoint]) -> str:
    """The latest loss and, once there is one, the latest accuracy."""
    return f"loss {point.loss:.3f}" + (f", {checkpoints[-1].accuracy:.1f} % right" if checkpoints else "")


def _checkpoint(trainer: Trainer, validation: list[Case], step: int) -> Checkpoint:
    scored = ask_all(trainer.model, validation)
    layers = tuple(layer.accuracy for layer in layer_scores(scored))
    return Checkpoint(step, score(scored).accuracy, layers)
