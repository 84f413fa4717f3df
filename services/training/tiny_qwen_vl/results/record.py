"""The record of a training: how it went, and how good the model is."""

from dataclasses import dataclass

from services.training.tiny_qwen_vl.learning.settings import Settings
from services.training.tiny_qwen_vl.results.evaluate import Results


@dataclass(frozen=True, slots=True)
class LossPoint:
    """Mean loss of the last few steps."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Accuracy of the unfinished model on validation images, neither trained on nor held out, in percent."""

    step: int
    accuracy: float
    layers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """How the training went."""

    settings: Settings
    parameters: int
    minutes: float
    """Wall-clock time, checkpoints included."""
    cpu_minutes: float
    machine: str
    losses: tuple[LossPoint, ...]
    checkpoints: tuple[Checkpoint, ...]

    @property
    def images(self) -> int:
        """Number of images trained on, all different."""
        phases = (self.settings.seeing, self.settings.answering)
        return sum(phase.steps * phase.images for phase in phases)

    @property
    def questions(self) -> int:
        """Number of questions trained on."""
        phase = self.settings.answering
        return phase.steps * phase.images * phase.questions


@dataclass(frozen=True, slots=True)
class Record:
    """Contents of ``eval.json``."""

    training: Training
    results: Results
