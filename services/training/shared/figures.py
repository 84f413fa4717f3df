"""Figures of a model card."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure


@contextmanager
def saved_figure(path: Path, width: float, height: float, dpi: int) -> Iterator[Figure]:
    """A figure of ``width`` × ``height`` inches to draw on, saved to ``path`` on leaving.

    The file does not name the version of matplotlib, so that another version alone does not change it.
    """
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    yield figure
    figure.savefig(path, metadata={"Software": None})
