"""The table's columns and rows, the warnings, and ``figures.json``."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measurements import read, write
from loadtests.results.summary import Spread, Summary
from loadtests.results.table import measurements, render, warnings

FIRST = Summary(
    name="monday",
    service="matcha",
    variant="fp32",
    profile="steady",
    loop="open",
    requests=400,
    answered=320,
    failures={"timeout": 50, "http status 429 queue_full": 30},
    window_s=50,
    offered_per_s=8,
    answered_per_s=6.4,
    objective_ms=250,
    good=300,
    good_per_s=6,
    latency=Spread(320, 11.4, 22.4, 33.4, 44.4, 55.4),
    lag=Spread(400, 0.1, 0.2, 0.3, 0.4, 0.5),
    most_in_flight=17,
    saturated=None,
)
SECOND = replace(
    FIRST, name="tuesday", variant="int8", profile="mine", answered=399, failures={"connection": 1}, saturated="why so"
)
NONE = replace(
    FIRST, name="none", answered=0, good=0, latency=Spread.of([]), failures={"timeout": 400}, lag=Spread.of([])
)


def _cells(table: Table) -> list[list[str]]:
    return [list(map(str, column.cells)) for column in table.columns]


def test_a_figure_stands_in_its_own_row() -> None:
    names, values = _cells(render([FIRST]))
    assert dict(zip(names, values, strict=True)) == {
        "variant": "fp32",
        "profile": "steady",
        "offered, 1/s": "8.0",
        "answered, 1/s": "6.4",
        "goodput, 1/s": "6.0",
        "objective, ms": "250",
        "within it": "75.0 %",
        "p50, ms": "11",
        "p90, ms": "22",
        "p95, ms": "33",
        "p99, ms": "44",
        "of n answers": "320",
        "most in flight": "17",
        "failed": "80",
        "  timeout": "50",
        "  http status 429 queue_full": "30",
    }


def test_the_title_says_from_when_latency_counts_and_of_what() -> None:
    title = str(render([FIRST]).title)
    assert "from the time a request was due" in title
    assert "answers only" in title


def test_each_run_has_a_column_of_its_own_and_each_class_of_failure_a_row() -> None:
    table = render([SECOND, FIRST, NONE])
    assert [str(column.header) for column in table.columns] == ["", "tuesday", "monday", "none"]
    names, *columns = _cells(table)
    rows = dict(zip(names, zip(*columns, strict=True), strict=True))
    assert rows["variant"] == ("int8", "fp32", "fp32")
    assert rows["failed"] == ("1", "80", "400")
    assert [(name, row) for name, row in rows.items() if name.startswith("  ")] == [
        ("  connection", ("1", "0", "0")),
        ("  timeout", ("0", "50", "400")),
        ("  http status 429 queue_full", ("0", "30", "0")),
    ]


def test_numbers_stand_flush_right_and_a_long_name_is_kept_whole() -> None:
    long = "load_variants_" * 5
    console = Console(width=160, file=io.StringIO())
    with console.capture() as capture:
        console.print(render([replace(FIRST, name=long), SECOND]))
    cells = [[cell.strip("\n") for cell in line.split("│")[1:-1]] for line in capture.get().splitlines() if "│" in line]
    assert {row[1][-2:] for row in cells if row[0].strip() in {"p50, ms", "p99, ms", "variant"}} == {"1 ", "4 ", "2 "}
    assert long in capture.get()


def test_where_nothing_was_answered_there_is_no_percentile() -> None:
    names, values = _cells(render([NONE]))
    rows = dict(zip(names, values, strict=True))
    assert {rows[f"p{q}, ms"] for q in (50, 90, 95, 99)} == {""}
    assert (rows["of n answers"], rows["within it"]) == ("0", "0.0 %")


def test_only_runs_with_a_saturated_generator_are_warned_of() -> None:
    (warning,) = warnings([FIRST, SECOND, NONE])
    assert warning.startswith("tuesday: the generator was saturated (why so)")


def test_figures_tell_the_value_the_unit_and_of_how_many() -> None:
    told = [(each.figure, each.value, each.unit, each.n) for each in measurements(FIRST, "make load")]
    assert told == [
        ("offered: matcha fp32, steady", 8, "1/s", 400),
        ("answered: matcha fp32, steady", 6.4, "1/s", 320),
        ("goodput: matcha fp32, steady", 6, "1/s", 300),
        ("requests within the objective: matcha fp32, steady", 75, "%", 400),
        ("failed: matcha fp32, steady", 80, "requests", 400),
        ("p50 latency: matcha fp32, steady", 11.4, "ms", 320),
        ("p99 latency: matcha fp32, steady", 44.4, "ms", 320),
        ("p99 scheduling lag: matcha fp32, steady", 0.4, "ms", 400),
    ]
    assert {each.how for each in measurements(FIRST, "make load")} == {"make load"}


def test_a_percentile_of_nothing_is_no_measurement() -> None:
    names = [each.figure.partition(":")[0] for each in measurements(NONE, "make load")]
    assert names == ["offered", "answered", "goodput", "requests within the objective", "failed"]


def test_what_a_load_test_writes_is_read_back(tmp_path: Path) -> None:
    """It has no spread: a percentile is a single number of one run."""
    for how in ("first", "again"):
        write(measurements(FIRST, how), tmp_path)
    assert read(tmp_path / "figures.json") == measurements(FIRST, "again")
    assert {(each.low, each.high) for each in read(tmp_path / "figures.json")} == {(None, None)}
