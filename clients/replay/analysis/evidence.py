"""The conclusion of a comparison in plain sentences, claiming no more than its intervals and tests support."""

from collections.abc import Sequence
from typing import Final

from clients.replay.analysis.comparison import Comparison, Difference, Ratio
from clients.replay.run.record import RunRecord
from clients.replay.scoring.metrics import Metric

ALPHA: Final = 0.05
FEW_IMAGES: Final = 30


def sentence(comparison: Comparison, headline: Metric, records: tuple[RunRecord, RunRecord]) -> str:
    """What the evidence says about quality and speed, and its limits."""
    (difference,) = (entry for entry in comparison.differences if entry.metric == headline.name)
    parts = [
        f"{_quality(comparison, difference, headline)}.",
        f"{_speed(comparison, comparison.latency[0])}{_fair(records)}.",
        *_reservations(comparison),
    ]
    return " ".join(parts)


def p_value(p: float) -> str:
    """Format a p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"  # noqa: PLR2004 - more digits would be meaningless


def signed(value: float, digits: int = 1) -> str:
    """Format a number with its sign and a typographic minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _quality(comparison: Comparison, difference: Difference, headline: Metric) -> str:
    other, reference, verdict = comparison.other, comparison.reference, comparison.verdict
    tested = verdict.p < ALPHA
    points, low, high = (100 * value for value in (difference.difference, difference.low, difference.high))
    word = "better" if points > 0 else "worse"
    basis = (
        f"{headline.label.lower()} {signed(points)} points, {signed(low)} to {signed(high)}, over {comparison.n} "
        f"questions about {comparison.pictures} images; McNemar {p_value(verdict.p)}"
    )
    # a headline metric other than right or wrong may point the other way
    if difference.shown and tested and (points > 0) == (verdict.only_other > verdict.only_reference):
        return f"{other} answers {word} than {reference} ({basis})"
    if difference.shown or tested:
        return f"{other} may answer {word} than {reference}, but the tests disagree ({basis})"
    reach = max(abs(low), abs(high))
    return (
        f"No difference in quality between {other} and {reference} is detectable; one beyond {reach:.1f} points is "
        f"unlikely ({basis})"
    )


def _speed(comparison: Comparison, ratio: Ratio) -> str:
    times = (
        f"p50 {ratio.other_ms:.0f} ms against {ratio.reference_ms:.0f} ms: {ratio.ratio:.2f} times as long, "
        f"{ratio.low:.2f} to {ratio.high:.2f}"
    )
    if not ratio.shown:
        return f"No difference in speed is detectable ({times})"
    return f"{comparison.other} is {'faster' if ratio.ratio < 1 else 'slower'} ({times})"


def _fair(records: tuple[RunRecord, RunRecord]) -> str:
    first, second = records
    conditions = {
        "on different machines": first.machine == second.machine,
        "at different concurrency": first.concurrency == second.concurrency,
    }
    differing = " and ".join(name for name, same in conditions.items() if not same)
    return f"; but they were timed {differing}, so the variant may not be the cause" if differing else ""


def _reservations(comparison: Comparison) -> Sequence[str]:
    notes = []
    if comparison.pictures < FEW_IMAGES:
        notes.append(f"With only {comparison.pictures} images the intervals are rough.")
    if comparison.unpaired:
        notes.append(f"{comparison.unpaired} answers without a counterpart are excluded.")
    return notes
