import dataclasses
import random

import pytest

from services.training.tiny_matcha.data.charts import PALETTES, Chart, ChartStyle, ChartType, Marker, Series
from services.training.tiny_matcha.data.kinds import BY_NAME, KINDS
from services.training.tiny_matcha.data.questions import ask, kinds_for, sample_chart_for

STYLE = ChartStyle(
    palette=PALETTES[0],
    background=(255, 255, 255),
    grid=True,
    frame=True,
    tick_step=1,
    bar_share=0.6,
    marker=Marker.DISC,
    line_width=2,
    legend_right=True,
    shift=(0, 0),
    jpeg_quality=None,
)
CHART = Chart(
    chart_type=ChartType.LINE,
    categories=("Oslo", "Rome", "Lima"),
    series=(Series("Tea", (2, 6, 3)),),
    category_title="City",
    value_title="Sales",
    legend=True,
    style=STYLE,
)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("chart type", "Line chart"),
        ("legend", "Yes"),
        ("number of categories", "3"),
        ("number of series", "1"),
        ("x axis title", "City"),
        ("y axis title", "Sales"),
        ("categories", "Oslo, Rome, Lima"),
        ("legend entries", "Tea"),
        ("highest", "Rome"),
        ("lowest", "Oslo"),
        ("difference", "4"),
        ("ranking", "Rome, Lima, Oslo"),
    ],
)
def test_answers_of_a_known_chart(kind: str, answer: str) -> None:
    assert ask(CHART, KINDS[kind], random.Random(0)).answer == answer


TWO = dataclasses.replace(
    CHART,
    chart_type=ChartType.SCATTER,
    categories=("Nuuk", "Bern"),
    series=(Series("Wool", (5, 1)), Series("Tea", (3, 4)), Series("Milk", (2, 6))),
)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("chart type", "Scatter plot"),
        ("number of categories", "2"),
        ("number of series", "3"),
        ("categories", "Nuuk, Bern"),
        ("legend entries", "Wool, Tea, Milk"),
    ],
)
def test_answers_of_a_chart_of_several_series(kind: str, answer: str) -> None:
    assert ask(TWO, KINDS[kind], random.Random(0)).answer == answer


def test_a_chart_without_legend_has_none_to_ask_about() -> None:
    bare = dataclasses.replace(CHART, legend=False)
    assert ask(bare, KINDS["legend"], random.Random(0)).answer == "No"
    assert {kind.name for kind in KINDS.values()} - {kind.name for kind in kinds_for(bare)} == {"legend entries"}


def test_of_several_series_nothing_is_asked_that_only_one_could_answer() -> None:
    of_one = {"value", "highest", "lowest", "comparison", "difference", "ranking"}
    assert {kind.name for kind in KINDS.values()} - {kind.name for kind in kinds_for(TWO)} == of_one
    assert kinds_for(TWO, BY_NAME.values()) == []
    assert kinds_for(CHART, BY_NAME.values()) == list(BY_NAME.values())


def test_questions_by_name_name_what_they_ask_about() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        value = ask(CHART, BY_NAME["value by name"], rng)
        assert value.content.names[0] in value.text
        assert value.answer == str(CHART.table[value.content.names[0]])
        comparison = ask(CHART, BY_NAME["comparison by name"], rng)
        first, second = comparison.content.names
        assert comparison.text.index(first) < comparison.text.index(second)
        assert comparison.answer == ("Yes" if CHART.table[first] > CHART.table[second] else "No")


def test_questions_by_place_mean_the_first_and_the_last() -> None:
    answers = {"first": "2", "last": "3"}
    for seed in range(20):
        rng = random.Random(seed)
        value = ask(CHART, KINDS["value"], rng)
        assert value.answer == answers[value.content.words[0]]
        comparison = ask(CHART, KINDS["comparison"], rng)
        assert comparison.answer == ("No" if comparison.content.words[0] == "first" else "Yes")
        assert comparison.text.index(comparison.content.words[0]) < comparison.text.index(comparison.content.words[1])


def test_kinds_that_ask_the_same_are_taught_as_one() -> None:
    assert {kind.taught_as for kind in BY_NAME.values()} == {"value", "comparison"}
    assert all(kind.taught_as == kind.name for kind in KINDS.values())


def test_every_answer_type_and_level_of_realcqa_is_covered() -> None:
    assert {kind.answer_type for kind in KINDS.values()} == {
        "String",
        "Numerical",
        "Binary",
        "Ranked List",
        "Unranked List",
    }
    assert {kind.taxonomy[0] for kind in KINDS.values()} == {"1", "2", "3", "4"}
    assert len({kind.taxonomy for kind in KINDS.values()}) == len(KINDS)


def test_a_kind_is_asked_only_of_charts_it_applies_to() -> None:
    for seed in range(30):
        assert sample_chart_for(KINDS["legend entries"], random.Random(seed)).legend
        assert len(sample_chart_for(KINDS["ranking"], random.Random(seed)).series) == 1
        assert len(sample_chart_for(BY_NAME["value by name"], random.Random(seed)).series) == 1


def test_wordings_are_unambiguous() -> None:
    wordings = [wording for kind in (KINDS | BY_NAME).values() for wording in kind.wordings]
    assert len(set(wordings)) == len(wordings)
