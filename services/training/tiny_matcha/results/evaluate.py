"""Exact match of a saved model on held-out charts, by kind of question."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from clients.terminal import Fitting
from services.training.shared.scores import Score, grouped
from services.training.tiny_matcha.data.held_out import Asked, held_out
from services.training.tiny_matcha.model.answering import Answerer

QUESTIONS_PER_KIND = 200


@dataclass(frozen=True, slots=True)
class KindScore:
    """Exact match on one kind of question, in percent, with its 95 % interval (Wilson)."""

    kind: str
    exact_match: float
    low: float
    high: float
    majority: float
    """What always giving the kind's most frequent answer would score."""
    n: int


def score(answerer: Answerer, asked: Sequence[Asked]) -> list[KindScore]:
    """Scores by kind, in the order of each kind's first question."""
    answers = answerer.answer([(item.image, item.question) for item in asked])
    by_kind = grouped(zip(asked, answers, strict=True), lambda pair: pair[0].kind)
    return [_kind_score(kind, pairs) for kind, pairs in by_kind.items()]


def mean_exact_match(scores: Sequence[KindScore]) -> float:
    """Mean over kinds, in percent; every kind has the same weight."""
    return float(np.mean([item.exact_match for item in scores]))


def _kind_score(kind: str, pairs: Sequence[tuple[Asked, str]]) -> KindScore:
    of_kind = Score.of([answer == item.answer for item, answer in pairs], [item.answer for item, _ in pairs])
    return KindScore(kind, of_kind.accuracy, of_kind.low, of_kind.high, of_kind.majority, of_kind.n)


def main(
    folder: Annotated[Path, typer.Argument(help="Model folder.")],
    seed: Annotated[int, typer.Option(help="Seed of the held-out charts.")] = 0,
    per_kind: Annotated[int, typer.Option(min=1, help="Questions of each kind.")] = QUESTIONS_PER_KIND,
) -> None:
    """Measure a saved model on held-out charts, and print exact match by kind in percent."""
    scores = score(Answerer(folder), list(held_out(seed, per_kind)))
    table = Table("kind", "exact match", "95 % interval", "majority", "n")
    for item in scores:
        interval = f"{item.low:.1f} to {item.high:.1f}"
        table.add_row(item.kind, f"{item.exact_match:.1f}", interval, f"{item.majority:.1f}", str(item.n))
    table.add_row("mean over kinds", f"{mean_exact_match(scores):.1f}")
    Console().print(Fitting(table))


if __name__ == "__main__":
    typer.run(main)
