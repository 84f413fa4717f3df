"""What a benchmark writes: the value, its spread and its bar; and which of several stored measurements is shown."""

import os
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.measurements import Measurement, read, show, write


def _measurement(
    name: str, value: float, how: str = "make it", *, at_most: float | None = None, at_least: float | None = None
) -> Measurement:
    return Measurement.median(name, [value], "ms", how, at_most=at_most, at_least=at_least)


def test_a_median_stands_with_its_smallest_and_largest_and_their_number() -> None:
    measurement = Measurement.median("latency", [9.0, 1.0, 30.0, 4.0], "ms", "make it")
    assert measurement.model_dump() == {
        "figure": "latency",
        "value": 6.5,
        "unit": "ms",
        "bar": None,
        "holds": None,
        "n": 4,
        "low": 1.0,
        "high": 30.0,
        "how": "make it",
    }


def test_a_number_over_many_cases_has_no_spread_unless_it_is_a_median() -> None:
    share = Measurement.single("share", 84.9, "%", "make it", n=700, at_least=85)
    assert (share.value, share.n, share.low, share.high) == (84.9, 700, None, None)
    assert (share.bar, share.holds) == (85, False)
    spread = Measurement.median("times", [1, 9, 2], "s", "make it", n=700)
    assert (spread.value, spread.n, spread.low, spread.high) == (2, 700, 1, 9)


@pytest.mark.parametrize(
    ("value", "bars", "holds"),
    [
        (4.9, {"at_most": 5.0}, True),
        (5.0, {"at_most": 5.0}, True),
        (5.1, {"at_most": 5.0}, False),
        (5.1, {"at_least": 5.0}, True),
        (5.0, {"at_least": 5.0}, True),
        (4.9, {"at_least": 5.0}, False),
        (0.0, {"at_most": 0.0}, True),
        (0.1, {"at_most": 0.0}, False),
    ],
)
def test_a_bar_is_held_from_the_right_side(value: float, bars: dict[str, float], *, holds: bool) -> None:
    measurement = Measurement.single("it", value, "ms", "make it", n=1, **bars)
    assert (measurement.bar, measurement.holds) == (next(iter(bars.values())), holds)


def test_figures_of_one_name_replace_each_other_and_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    write([_measurement("first", 1), _measurement("second", 2)], folder)
    write([_measurement("third", 3), _measurement("first", 4)], folder)
    assert [(each.figure, each.value) for each in read(folder / "figures.json")] == [
        ("first", 4),
        ("second", 2),
        ("third", 3),
    ]
    assert [path.name for path in folder.iterdir()] == ["figures.json"]


def test_a_measurement_has_no_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Measurement.model_validate(_measurement("it", 1).model_dump() | {"more": 1})


def test_a_table_tells_the_value_the_spread_and_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    held = Measurement.median("held", [1.5, 2.5, 8.0], "ms", "make it", at_most=3)
    short = Measurement.median("short", [1.0], "GB", "make it", at_least=2)
    percentile = Measurement.single("p99", 12, "ms", "make it", n=400)
    show([held, short, _measurement("free", 7), percentile], "four")
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["held", "2.5 ms", "1.5 … 8", "3", "3", "yes"],
        ["short", "1 GB", "1 … 1", "1", "2", "no"],
        ["free", "7 ms", "7 … 7", "1", "", ""],
        ["p99", "12 ms", "", "400", "", ""],
    ]


def _shown(runs: Path) -> Result:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, ["--runs", str(runs)])


def test_the_newest_of_each_figure_is_shown_and_which_fall_short(tmp_path: Path) -> None:
    """The newest by time of writing, whatever the folder's name; a different command is a different measurement."""
    old, new = tmp_path / "z-old", tmp_path / "a-new"
    write([_measurement("lag", 11, "make x; on one core", at_most=5), _measurement("rate", 222, at_least=100)], old)
    write(
        [_measurement("lag", 4, "make x; on two cores", at_most=5), _measurement("rate", 33, "make y", at_least=100)],
        new,
    )
    os.utime(old / "figures.json", (1000, 1000))
    os.utime(new / "figures.json", (2000, 2000))
    done = _shown(tmp_path)
    assert done.exit_code == 0
    assert "3 measurements" in done.output
    assert ("11 ms" in done.output, "4 ms" in done.output) == (False, True)
    assert "222 ms" in done.output
    assert done.output.splitlines()[-2:] == ["1 miss their target", "  rate"]


def test_without_any_figure_the_command_says_so(tmp_path: Path) -> None:
    done = _shown(tmp_path)
    assert done.exit_code == 1
    assert "no measurements under" in done.output
