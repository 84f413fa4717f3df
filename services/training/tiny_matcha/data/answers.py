"""The true answer to each kind of question, from the values of a chart."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.training.tiny_matcha.data.charts import Chart

Gold = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a question is about: the words that fill its wording, the categories they refer to, and the answer."""

    words: tuple[str, ...]
    names: tuple[str, ...]
    gold: Gold


Asking = Callable[[Chart, random.Random], Content]

_PLACES = {"first": 0, "last": -1}


def fixed(answer: Callable[[Chart], Gold]) -> Asking:
    """For a kind whose wording refers to no category."""
    return lambda chart, _: Content((), (), answer(chart))


def ranked(chart: Chart) -> list[str]:
    """Categories, the highest value first."""
    return sorted(chart.table, key=chart.table.__getitem__, reverse=True)


def _value_of(chart: Chart, word: str, name: str) -> Content:
    return Content((word,), (name,), str(chart.table[name]))


def _compared(chart: Chart, words: Sequence[str], names: Sequence[str]) -> Content:
    first, second = names
    answer = "Yes" if chart.table[first] > chart.table[second] else "No"
    return Content(tuple(words), (first, second), answer)


def value_by_name(chart: Chart, rng: random.Random) -> Content:
    """The value of a category that the question names."""
    name = rng.choice(chart.categories)
    return _value_of(chart, name, name)


def comparison_by_name(chart: Chart, rng: random.Random) -> Content:
    """Whether the value of one named category exceeds that of another."""
    names = rng.sample(chart.categories, 2)
    return _compared(chart, names, names)


def value_by_place(chart: Chart, rng: random.Random) -> Content:
    """The value of the first or the last category."""
    place = rng.choice(tuple(_PLACES))
    return _value_of(chart, place, chart.categories[_PLACES[place]])


def comparison_by_place(chart: Chart, rng: random.Random) -> Content:
    """Whether the first value exceeds the last, or the last the first."""
    places = rng.sample(tuple(_PLACES), 2)
    return _compared(chart, places, [chart.categories[_PLACES[place]] for place in places])


def has_one_series(chart: Chart) -> bool:
    """Whether each category has a single value, so that values can be compared and ranked."""
    return len(chart.series) == 1
