"""Training recipes: everything but the seed that determines the weights, and how it changes over the steps."""

from dataclasses import dataclass, field

from services.training.tiny_matcha.data.charts import MAX_SHIFT_PIXELS
from services.training.tiny_matcha.data.kinds import BY_NAME, KINDS, Kind
from services.training.tiny_matcha.model.network import NetworkShape

_EASY_KINDS = {
    "chart type": 0.4,
    "legend": 0.4,
    "number of series": 0.5,
    "x axis title": 0.5,
    "y axis title": 0.5,
    "legend entries": 0.5,
}


_TEACHING_NAMES = tuple({kind.taught_as: name for name, kind in (KINDS | BY_NAME).items()}.values())
"""All kinds, but with those that name a category in place of those that ask for the first or the last."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one stage is trained; every ``..._share`` is a share of the stage's steps."""

    charts: str = "train"
    """Together with the seed, it seeds the generator of the stage's charts."""
    shape: NetworkShape = field(default_factory=NetworkShape)
    steps: int = 3200
    batch: int = 48
    muon_rate: float = 0.01
    adam_rate: float = 2e-3
    warm_up: int = 100
    """Steps over which the learning rates rise to their full values."""
    level_share: float = 1 / 3
    """Share after which the rates fall linearly to 0."""
    pool: int = 4096
    """Examples to draw batches from."""
    draws: int = 2
    """How often an example is used before it is replaced, on average."""
    teaching_weight: float = 3.0
    """Weight of the teaching text's loss at the first step; the answer's, of far fewer tokens, has weight 1."""
    teaching_share: float = 0.7
    """Share after which the teaching text has no weight; it fades linearly until then."""
    shift_share: float = 0.2
    """Share over which shifts grow to ``MAX_SHIFT_PIXELS``; at 0 they are full from the start."""
    further_questions: int = 3
    """Number of questions asked in text, besides the one in the header."""
    kinds: tuple[str, ...] = _TEACHING_NAMES
    """Names of the kinds of question to ask."""
    kind_weights: dict[str, float] = field(default_factory=_EASY_KINDS.copy)
    """How often each kind is asked, relative to the others; 1 unless named here."""
    validation: int = 560
    """Number of validation examples."""
    report_every: int = 100
    threads: int = 1
    """More threads gain little at this size, and their other rounding gives other weights."""

    def asked_kinds(self) -> list[Kind]:
        """The kinds of question to ask."""
        return [(KINDS | BY_NAME)[name] for name in self.kinds]

    def rate_scale(self, step: int) -> float:
        """Factor of the full learning rates: rises over the warm-up, stays level, then falls to 0."""
        remaining = (self.steps - step) / (self.steps * (1 - self.level_share))
        return min(1.0, (step + 1) / self.warm_up, remaining)

    def teaching_at(self, step: int) -> float:
        """Weight of the teaching text's loss."""
        return self.teaching_weight * max(0.0, 1 - step / (self.steps * self.teaching_share))

    def shift_at(self, step: int) -> int:
        """Pixels by which new charts may be shifted: none at first, because unshifted charts are easier to learn."""
        ramp = self.steps * self.shift_share
        return MAX_SHIFT_PIXELS if step >= ramp else int((MAX_SHIFT_PIXELS + 1) * step / ramp)


FOUNDATION = Recipe()
REFINEMENT = Recipe(
    charts="refine",
    steps=700,
    muon_rate=0.006,
    adam_rate=1e-3,
    warm_up=30,
    level_share=0.2,
    teaching_weight=1.0,
    shift_share=0.0,
    kinds=tuple(KINDS),
    kind_weights=_EASY_KINDS | {"value": 3.0, "comparison": 3.5},
)
"""After learning to look categories up by name, the model learns to do so for the first and the last."""
STAGES = (FOUNDATION, REFINEMENT)
