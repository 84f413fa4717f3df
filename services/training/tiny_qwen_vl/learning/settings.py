"""How the model is trained: two phases, learning rates, and how crowded the images are."""

from dataclasses import dataclass
from typing import Final

from services.training.tiny_qwen_vl.data.scenes import MAX_ITEMS


@dataclass(frozen=True, slots=True)
class Phase:
    """How many steps, of how many images with how many questions each, and how crowded the images are."""

    steps: int
    images: int
    questions: int
    naming_weight: float
    """Of the throw-away heads."""
    curriculum: tuple[tuple[float, int], ...]
    """Up to which part of the phase an image has at most how many items: given all from the start, the model learns
    little beyond the total."""

    def max_items(self, progress: float) -> int:
        """Most items in an image when this part of the phase, 0 to 1, is done."""
        return next((items for until, items in self.curriculum if progress < until), MAX_ITEMS)


SEEING: Final = Phase(steps=800, images=32, questions=1, naming_weight=1.0, curriculum=((0.2, 4),))
ANSWERING: Final = Phase(steps=2200, images=24, questions=6, naming_weight=0.3, curriculum=((0.1, 2), (0.25, 4)))


@dataclass(frozen=True, slots=True)
class Settings:
    """How the model is trained."""

    seed: int = 0
    seeing: Phase = SEEING
    answering: Phase = ANSWERING
    matrix_rate: float = 0.02
    """Learning rate of Muon, for the weight matrices."""
    other_rate: float = 1.5e-3
    """Learning rate of AdamW, for everything else."""
    warmup_steps: int = 50
    weight_decay: float = 0.05
    threads: int = 1

    @property
    def steps(self) -> int:
        """Of both phases."""
        return self.seeing.steps + self.answering.steps
