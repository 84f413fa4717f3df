"""The same kinds of question in the same layout, about charts in looks that training never saw: matplotlib's.

Their other colours, fonts, sizes and layouts show the limits of the embedded model.
"""

import random
from pathlib import Path
from typing import Final

from services.training.samples.realcqa import write_set
from services.training.tiny_matcha.data.shifted import draw_shifted, sample_look

CHARTS: Final = 20
_FIRST_NUMBER: Final = 9_100_001


def write(folder: Path, seed: int) -> None:
    """Write charts and questions; the same seed gives the same bytes."""
    rng = random.Random(f"samples/realcqa-shifted/{seed}")
    write_set(folder, rng, CHARTS, lambda chart, rng: draw_shifted(chart, sample_look(rng)), _FIRST_NUMBER)
