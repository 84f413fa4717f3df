"""What a training leaves beside the weights: how it went, and how good the model is."""

from dataclasses import dataclass

from services.training.tiny_qwen_vl.learning.settings import Settings
from services.training.tiny_qwen_vl.results.evaluate import Results


@dataclass(frozen=True, slots=True)
class LossPoint:
    """Mean loss of the last few steps up to this one."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the unfinished model did on validation images, which are neither trained on nor held out, in percent."""

    step: int
    accuracy: float
    layers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """How the weights came about."""

    settings: Settings
    parameters: int
    minutes: float
    """By the clock, checkpoints included."""
    cpu_minutes: float
    machine: str
    losses: tuple[LossPoint, ...]
    checkpoints: tuple[Checkpoint, ...]

    @property
    def images(self) -> int:
        """Images trained on, none twice."""
        phases = (self.settings.seeing, self.settings.answering)
        return sum(phase.steps * phase.images for phase in phases)

    @property
    def questions(self) -> int:
        """Questions trained on."""
        phase = self.settings.answering
        return phase.steps * phase.images * phase.questions


@dataclass(frozen=True, slots=True)
class Record:
    """Contents of ``eval.json``."""

    training: Training
    results: Results
