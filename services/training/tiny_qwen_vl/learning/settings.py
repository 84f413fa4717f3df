"""Training settings: two phases, their learning rates, and how crowded the images are."""

from dataclasses import dataclass, replace
from typing import Final

from services.training.tiny_qwen_vl.data.scenes import MAX_ITEMS


@dataclass(frozen=True, slots=True)
class Phase:
    """Number of steps, images per step and questions per image, and how crowded the images are."""

    steps: int
    images: int
    questions: int
    naming_weight: float
    """Weight of the auxiliary heads' loss."""
    curriculum: tuple[tuple[float, int], ...]
    """Shares of the phase, and the most items in an image up to each. With full images from the start, the model learns
    little beyond counting everything."""

    def max_items(self, progress: float) -> int:
        """The most items in an image once this share of the phase, 0 to 1, is done."""
        return next((items for until, items in self.curriculum if progress < until), MAX_ITEMS)


SEEING: Final = Phase(steps=800, images=32, questions=1, naming_weight=1.0, curriculum=((0.2, 4),))
ANSWERING: Final = Phase(steps=2200, images=24, questions=6, naming_weight=0.3, curriculum=((0.1, 2), (0.25, 4)))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that determines the weights."""

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
    bf16: bool = True
    """Whether products are computed in bfloat16, which is faster on processors that have it, and slower on others."""
    every_form: bool = False
    """Whether questions are put in every form (``data.forms``), or with the image first alone."""

    @property
    def steps(self) -> int:
        """Steps of both phases."""
        return self.seeing.steps + self.answering.steps


EVERY_FORM: Final = Settings(
    answering=replace(ANSWERING, steps=2600, images=16, questions=5), threads=2, bf16=False, every_form=True
)
"""For questions in every form, whose rows are longer; as many tokens a step."""
