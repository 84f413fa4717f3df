"""The kinds of question and their wordings.

Wordings are short and of similar length: the header is always as wide as the image, so their length sets the size of
its letters on the grid of patches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from services.training.tiny_matcha.data.answers import (
    Asking,
    comparison_by_name,
    comparison_by_place,
    fixed,
    has_one_series,
    ranked,
    value_by_name,
    value_by_place,
)
from services.training.tiny_matcha.data.charts import Chart

AnswerType = Literal["String", "Numerical", "Binary", "Ranked List", "Unranked List"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question; ``taxonomy`` is RealCQA's: 1 and 2 structure, 3 retrieval, 4 reasoning."""

    name: str
    taxonomy: str
    answer_type: AnswerType
    wordings: tuple[str, ...]
    ask: Asking
    applies: Callable[[Chart], bool] = lambda _: True
    same_as: str | None = None
    """The kind that asks the same thing in other words; the teaching text uses its name."""

    @property
    def taught_as(self) -> str:
        """The name of this kind in the teaching text."""
        return self.same_as or self.name


BY_NAME: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "value by name",
            "3d",
            "Numerical",
            ("What value has {0}?", "How high is {0}?", "Give the value of {0}.", "What is {0}'s value?"),
            value_by_name,
            has_one_series,
            same_as="value",
        ),
        Kind(
            "comparison by name",
            "4d",
            "Binary",
            ("Is {0} above {1}?", "Is {0} more than {1}?", "Is {0} larger than {1}?", "Does {0} exceed {1}?"),
            comparison_by_name,
            has_one_series,
            same_as="comparison",
        ),
    )
}
"""Questions that name a category. They teach the model to look one up; to do so from the header takes longer than this
training."""

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "chart type",
            "1a",
            "String",
            (
                "What type of chart is it?",
                "Which chart type is this?",
                "What kind of plot is it?",
                "Name the chart type.",
            ),
            fixed(lambda chart: chart.chart_type.value),
        ),
        Kind(
            "legend",
            "1b",
            "Binary",
            ("Is there a legend?", "Does it have a legend?", "Is a legend shown?", "Can you see a legend?"),
            fixed(lambda chart: "Yes" if chart.legend else "No"),
        ),
        Kind(
            "number of categories",
            "1c",
            "Numerical",
            ("How many categories?", "Number of categories?", "How many names are on it?", "Count the categories."),
            fixed(lambda chart: str(len(chart.categories))),
        ),
        Kind(
            "number of series",
            "1d",
            "Numerical",
            ("How many data series?", "Number of data series?", "How many series are in it?", "Count the data series."),
            fixed(lambda chart: str(len(chart.series))),
        ),
        Kind(
            "x axis title",
            "2a",
            "String",
            ("What is the x axis title?", "Title of the x axis?", "Name of the x axis?", "What is on the x axis?"),
            fixed(lambda chart: chart.category_title),
        ),
        Kind(
            "y axis title",
            "2b",
            "String",
            ("What is the y axis title?", "Title of the y axis?", "Name of the y axis?", "What is on the y axis?"),
            fixed(lambda chart: chart.value_title),
        ),
        Kind(
            "categories",
            "2c",
            "Unranked List",
            (
                "List all the categories.",
                "Name every category.",
                "What are the categories?",
                "Give the category names.",
            ),
            fixed(lambda chart: chart.categories),
        ),
        Kind(
            "legend entries",
            "2d",
            "Unranked List",
            ("List the legend entries.", "What is in the legend?", "Name the legend labels.", "Give the legend names."),
            fixed(lambda chart: tuple(series.name for series in chart.series)),
            lambda chart: chart.legend,
        ),
        Kind(
            "value",
            "3a",
            "Numerical",
            ("What is the {0} value?", "How high is the {0} one?", "Give the {0} value.", "What value is the {0}?"),
            value_by_place,
            has_one_series,
        ),
        Kind(
            "highest",
            "3b",
            "String",
            ("Which is the highest?", "Where is the maximum?", "Name the largest one.", "What has the top value?"),
            fixed(lambda chart: ranked(chart)[0]),
            has_one_series,
        ),
        Kind(
            "lowest",
            "3c",
            "String",
            ("Which is the lowest?", "Where is the minimum?", "Name the smallest one.", "What has the least value?"),
            fixed(lambda chart: ranked(chart)[-1]),
            has_one_series,
        ),
        Kind(
            "comparison",
            "4a",
            "Binary",
            (
                "Is the {0} above the {1}?",
                "Is the {0} more than the {1}?",
                "Is the {0} over the {1}?",
                "Does the {0} exceed the {1}?",
            ),
            comparison_by_place,
            has_one_series,
        ),
        Kind(
            "difference",
            "4b",
            "Numerical",
            ("Highest minus lowest?", "Top minus bottom value?", "What is the value range?", "How wide is the range?"),
            fixed(lambda chart: str(max(chart.table.values()) - min(chart.table.values()))),
            has_one_series,
        ),
        Kind(
            "ranking",
            "4c",
            "Ranked List",
            ("Rank them high to low.", "Sort from high to low.", "Order by falling value.", "Rank from the highest."),
            fixed(lambda chart: tuple(ranked(chart))),
            has_one_series,
        ),
    )
}
