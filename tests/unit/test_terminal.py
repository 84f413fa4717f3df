"""Tables on terminals of any width: no name is broken or cut."""

from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from clients.terminal import Fitting
from loadtests.results.table import render
from tests.unit.loadtests.results.test_table import FIRST

VARIANTS = ("fp32", "bf16", "onnx-int8", "openvino-int8")


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(Fitting(table))
    return [line.rstrip() for line in captured.get().splitlines()]


def of_load_tests(*variants: str) -> Table:
    return render([replace(FIRST, name=f"steady-{variant}", variant=variant) for variant in variants])


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_name_and_figure_is_whole(width: int, count: int) -> None:
    lines = printed(of_load_tests(*VARIANTS[:count]), width)
    text = "\n".join(lines)
    for variant in VARIANTS[:count]:
        assert f"steady-{variant}" in text
    for name in ("answered, 1/s", "of n answers", "most in flight", "http status 429 queue_full"):
        assert name in text
    assert max(map(len, lines)) <= width
    assert "…" not in text


def test_what_fits_is_a_table_and_what_does_not_is_a_list() -> None:
    table = Table("run", "model", "score", title="Of today")
    table.add_row("monday", "tiny-matcha fp32", "33.3")
    table.add_row("tuesday", "", "66.7")
    assert len(printed(table, 38)) == 7  # the title, three lines that rule, a head and two rows
    assert printed(table, 37) == [
        "Of today",
        "monday",
        "  model  tiny-matcha fp32",
        "  score  33.3",
        "tuesday",
        "  score  66.7",
    ]
