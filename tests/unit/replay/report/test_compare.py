"""Output of the compare command: each number in its place, under the right run's name."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.errors import ReplayError
from clients.replay.report import compare_runs
from clients.replay.run.outcomes import Failed, Scored
from tests.unit.replay.reading import answered, failed, record_of, table_rows, text_of, write_run

SIMPLE, COMPLEX = {"complexity": "simple"}, {"complexity": "complex"}
OUTCOMES: dict[str, list[Scored | Failed]] = {
    "A": [
        answered("4", "3", "a.png", sample_id="2", latency_ms=200, sent_at_s=10.1, labels=SIMPLE),
        answered("3", "3", "a.png", sample_id="1", latency_ms=100, sent_at_s=10.0, labels=SIMPLE),
        answered("9", "7", "b.png", sample_id="3", latency_ms=400, sent_at_s=10.3, labels=COMPLEX),
        failed(sample_id="5"),
    ],
    "B": [
        answered("3", "3", "a.png", sample_id="1", latency_ms=50, labels=SIMPLE),
        answered("12", "12", "c.png", sample_id="4", latency_ms=30, labels=COMPLEX),
        answered("3", "3", "a.png", sample_id="2", latency_ms=60, labels=SIMPLE),
        answered("7", "7", "b.png", sample_id="3", latency_ms=1200, labels=COMPLEX),
    ],
    "alone": [
        answered("1", "1", "d.png", sample_id="8", labels=SIMPLE),
        answered("?", "5", "d.png", sample_id="9", labels=SIMPLE),
    ],
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the comparison of three runs; the last shares no question with the first."""
    folder = tmp_path_factory.mktemp("compare")
    server = {"id": "org/m", "revision": "r1", "manifest_sha256": "ab"}
    runs = [
        write_run(folder / name, outcomes, record_of(server={**server, "variant": f"v{name}"}))
        for name, outcomes in OUTCOMES.items()
    ]
    compare_runs(runs, folder / "out", seed=0)
    return folder / "out"


@pytest.fixture(scope="module")
def content(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def test_each_run_s_figures_stand_in_its_row(page: str) -> None:
    """With two images, a quarter of the resamples have only the first, a quarter only the second."""
    runs = {row[0]: row[1:] for row in table_rows(page) if len(row) == 9}
    assert runs["A"] == [
        "org/m vA",
        "3",
        "",
        "33.3 66.7 0.0–50.0",
        "200 ms 100 ms–400 ms",
        "380 ms 200 ms–400 ms",
        "4.3",
        "1",
    ]
    assert (runs["B"][0], runs["B"][1], runs["B"][-1]) == ("org/m vB", "4", "0")
    assert (runs["alone"][1], runs["alone"][3][:9]) == ("2", "50.0 50.0")


def test_a_difference_s_row_reads_reference_other_difference_interval(page: str) -> None:
    rows = table_rows(page)
    start = rows.index(["", "A", "B", "difference", "interval"])
    assert rows[start + 1 : start + 6] == [
        ["Accuracy", "33.3", "100.0", "+66.7", "+50.0 to +100.0"],
        ["Exact match", "33.3", "100.0", "+66.7", "+50.0 to +100.0"],
        ["Root mean square error", f"{math.sqrt(5 / 3):.2f}", "0.00", "−1.29", "−2.00 to −0.71"],
        ["Latency, p50", "200 ms", "60 ms", "× 0.30", "× 0.30 to 3.00"],
        ["Latency, p95", "380 ms", "1.09 s", "× 2.86", "× 0.30 to 3.00"],
    ]
    assert (
        "3 questions about 2 images. Right only in A: 0; only in B: 2 (exact two-sided McNemar test: p = 1.000)."
    ) in text_of(page)
    assert page.count('class="number shown"') == 3, "the three whose interval leaves out no difference"
    assert "hold for all 2 comparisons together" in page


def test_groups_are_side_by_side_with_a_gap_where_a_run_has_none(page: str) -> None:
    rows = table_rows(page)
    start = rows.index(["", "n", "A", "n", "B", "n", "alone"])
    by_count = {row[0]: [cell.split(" ")[0] for cell in row[1:]] for row in rows[start + 1 : start + 6]}
    assert by_count == {
        "3": ["2", "50.0", "2", "100.0", "", ""],
        "7": ["1", "0.0", "1", "100.0", "", ""],
        "12": ["", "", "1", "100.0", "", ""],
        "1": ["", "", "", "", "1", "100.0"],
        "5": ["", "", "", "", "1", "0.0"],
    }
    by_kind = {row[0]: [cell.split(" ")[0] for cell in row[1:]] for row in rows[start + 7 : start + 9]}
    assert by_kind == {"simple": ["2", "50.0", "2", "100.0", "", ""], "complex": ["1", "0.0", "2", "100.0", "", ""]}
    assert re.findall(r"<summary>(.*?)</summary>", page) == ["By count", "Simple and complex"]


def test_the_file_holds_what_the_page_shows(content: dict[str, Any], page: str) -> None:
    assert [run["name"] for run in content["runs"]] == ["A", "B", "alone"]
    assert [run["answered"] for run in content["runs"]] == [3, 4, 2]
    (comparison,) = content["comparisons"]
    assert (comparison["reference"], comparison["other"], comparison["n"], comparison["unpaired"]) == ("A", "B", 3, 1)
    assert [entry["metric"] for entry in comparison["differences"]] == ["count_accuracy", "exact_match", "rmse"]
    paired, alone = content["sentences"]
    assert paired.startswith("B may answer better than A, but the tests disagree (accuracy +66.7 points")
    assert alone.startswith("alone shares no question with A, so no paired test is possible")
    assert all(text in text_of(page) for text in (paired, alone))


@pytest.mark.usefixtures("undrawn")
def test_the_seed_decides_the_intervals_of_runs_and_comparisons(tmp_path: Path) -> None:
    runs = []
    for name, most in (("A", 11), ("B", 13)):
        outcomes = [answered(f"{n * n % most}", "0", f"{n % 17}", sample_id=f"{n}") for n in range(60)]
        runs.append(write_run(tmp_path / name, outcomes, record_of()))

    def intervals(out: str, seed: int) -> list[list[float]]:
        compare_runs(runs, tmp_path / out, seed)
        found = json.loads((tmp_path / out / "compare.json").read_text(encoding="utf-8"))
        rmse = found["comparisons"][0]["differences"][-1]
        return [*(run["counts"]["rmse_interval"] for run in found["runs"]), [rmse["low"], rmse["high"]]]

    first = intervals("one", 1)
    assert intervals("again", 1) == first
    for one, other in zip(first, intervals("two", 2), strict=True):
        assert one != other


@pytest.mark.usefixtures("undrawn")
def test_groups_of_the_same_name_in_two_tables_stay_apart(tmp_path: Path) -> None:
    labels = [{"complexity": "simple", "source": "x"}, {"complexity": "complex", "script": "simple"}, {"script": "Han"}]
    outcomes = [answered("3" if n else "4", sample_id=f"{n}", labels=own) for n, own in enumerate(labels)]
    runs = [write_run(tmp_path / name, outcomes, record_of()) for name in "AB"]
    compare_runs(runs, tmp_path / "out", seed=0)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    simple = [[cell.split(" ")[0] for cell in row] for row in table_rows(page) if row[0] == "simple"]
    assert simple == [["simple", "1", "0.0", "1", "0.0"], ["simple", "1", "100.0", "1", "100.0"]]


@pytest.mark.usefixtures("undrawn")
def test_a_sentence_goes_by_its_own_run_s_record(tmp_path: Path) -> None:
    records = [record_of(), record_of(), record_of(concurrency=9)]
    runs = [write_run(tmp_path / name, OUTCOMES["A"], record) for name, record in zip("ABC", records, strict=True)]
    second, third = compare_runs(runs, tmp_path / "out", seed=0)
    assert "timed at different" not in second
    assert "timed at different" in third
    assert json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))["sentences"] == [second, third]


def test_the_compare_command_prints_the_sentences(tmp_path: Path) -> None:
    runs = [str(write_run(tmp_path / name, OUTCOMES[name], record_of())) for name in ("A", "B")]
    result = CliRunner().invoke(app, ["compare", *runs, "--out", str(tmp_path / "cmp")])
    assert result.exit_code == 0, result.output
    assert "B may answer better than A" in " ".join(result.output.split())
    page = (tmp_path / "cmp" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3, "the logo, quality against latency, differences"
    assert {"Accuracy", "Root mean square error"} < {row[0] for row in table_rows(page)}
    assert "<script" not in page


def test_compare_is_a_function_of_the_run_folders(out: Path, tmp_path: Path) -> None:
    compare_runs([out.parent / name for name in OUTCOMES], tmp_path, seed=0)
    for name in ("index.html", "compare.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_runs_of_two_tasks_are_not_compared(out: Path, tmp_path: Path) -> None:
    charts = write_run(tmp_path / "charts", [], record_of("realcqa"))
    with pytest.raises(ReplayError, match="charts is a run of realcqa, A of tallyqa"):
        compare_runs([out.parent / "A", charts], tmp_path / "cmp", seed=0)


def test_one_run_is_compared_with_nothing(out: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(out.parent / "A"), "--out", str(tmp_path / "cmp")])
    assert result.exit_code == 2


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_answers_can_be_compared(out: Path, tmp_path: Path) -> None:
    empty = write_run(tmp_path / "empty", [], record_of())
    (text,) = compare_runs([out.parent / "A", empty], tmp_path / "cmp", seed=0)
    assert text.startswith("empty shares no question with A, ")
