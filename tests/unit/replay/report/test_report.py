"""The report of a synthetic run: its numbers equal those worked out by hand, and its page is self-contained."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from clients.replay.analysis.scores import compute, load_run
from clients.replay.asking.client import AskOptions
from clients.replay.errors import ReplayError
from clients.replay.report import report_runs
from clients.replay.report.run_page import as_json
from tests.unit.replay.reading import answered, record_of, write_run

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

REFUSAL = httpx.Response(
    503, json={"error": {"message": "draining <now>", "type": "server_error", "code": "not_ready"}}
)


@pytest.fixture
def chart_run(realcqa: Make, block: Make, service: "FakeService", do_run: Make, tmp_path: Path) -> Path:
    """Six questions: three strings (two right), two numbers (one close, one failed), one list in a different order."""
    string = {"answer_type": "String"}
    charts = {
        "PMC1_a": [
            block("1a", qa_id="1", question="type 1", answer="bar chart", **string),
            block("2b", qa_id="2", question="title <b>bold</b>", answer="tree", **string),
            block("3a", qa_id="3", question="value 1", answer="100", answer_type="Numerical"),
        ],
        "PMC2_b": [
            block("1a", qa_id="4", question="type 2", answer="bar chart", **string),
            block("3a", qa_id="5", question="value 2", answer="7", answer_type="Numerical"),
            block("3c", qa_id="6", question="which", answer=["oak", "elm"], answer_type="Unranked List"),
        ],
    }
    service.answers = {
        "type 1": "Bar chart",
        "title <b>bold</b>": "<script>alert(1)</script>",
        "value 1": "104",
        "type 2": "bar chart",
        "value 2": REFUSAL,
        "which": "elm, oak",
    }
    do_run("realcqa", realcqa(charts), out=tmp_path / "charts")
    return tmp_path / "charts"


@pytest.fixture
def lens_run(
    tallyqa: Make, tally: Make, service: "FakeService", do_run: Make, lens_reply: Make, tmp_path: Path
) -> Path:
    """Three counts with traces; two are right, one of them in Han script."""
    service.answers = {
        "How many dogs 1?": lens_reply(
            "3", [("the", 0.1), ("三", 0.1)], [("三", 0.4), ("3", 0.1)], [("3", 0.9), ("4", 0.1)]
        ),
        "How many dogs 2?": lens_reply(
            "三", [("a", 0.1), ("b", 0.1)], [("3", 0.4), ("3", 0.1)], [("三", 0.9), ("4", 0.1)]
        ),
        "How many dogs 3?": lens_reply(
            "1", [("a", 0.1), ("b", 0.1)], [("0", 0.4), ("1", 0.1)], [("1", 0.9), ("4", 0.1)]
        ),
    }
    entries = [tally(1), tally(2, issimple=False), tally(3, answer=0, image="VG_100K/2.png")]
    do_run("tallyqa", tallyqa(entries), out=tmp_path / "counts", options=AskOptions(lens=True))
    return tmp_path / "counts"


def report_json(out: Path) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads((out / "report.json").read_text(encoding="utf-8"))["runs"]
    return runs


def values(row: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {score["metric"]: (round(score["value"], 4), round(score["baseline"], 4)) for score in row["scores"]}


@pytest.mark.usefixtures("undrawn")
def test_scores_by_group_beside_their_baseline(chart_run: Path, tmp_path: Path) -> None:
    report_runs([chart_run], tmp_path / "report", seed=0)
    (run,) = report_json(tmp_path / "report")
    assert (run["answered"], run["failed"]) == (5, 1)
    assert run["overall"]["majority"] == "bar chart"
    assert values(run["overall"]) == {
        "exact_match": (0.4, 0.4),
        "exact_match_as_read": (0.4, 0.4),
        "relaxed_strict": (0.6, 0.4),
        "relaxed_pix2struct": (0.6, 0.4),
        # "104" differs from "100" by a third; "elm, oak" is too far from "oak, elm" for ANLS
        "anls": (round((1 + 0 + 2 / 3 + 1 + 0) / 5, 4), 0.4),
        "by_type_rule": (0.8, 0.4),
    }
    by_type, by_kind = run["tables"][0], run["tables"][1]
    assert [(row["group"], row["n"]) for row in by_type["rows"]] == [
        ("string", 3),
        ("numerical", 1),
        ("unranked list", 1),
    ]
    assert values(by_type["rows"][0])["exact_match"] == (round(2 / 3, 4), round(2 / 3, 4))
    assert values(by_type["rows"][1])["relaxed_strict"] == (1, 1)
    assert values(by_type["rows"][2])["by_type_rule"] == (1, 1)
    assert [(row["group"], row["n"]) for row in by_kind["rows"]] == [("structure", 3), ("retrieval", 2)]


@pytest.mark.usefixtures("undrawn")
def test_failures_are_named_and_in_no_score(chart_run: Path, tmp_path: Path) -> None:
    report_runs([chart_run], tmp_path / "report", seed=0)
    (run,) = report_json(tmp_path / "report")
    assert run["failures"] == [{"failure": "http status 503 not_ready", "n": 1, "example": "draining <now>"}]
    assert sum(row["n"] for row in run["tables"][0]["rows"]) == 5


@pytest.mark.usefixtures("undrawn")
def test_counts_complexity_and_layers(lens_run: Path, tmp_path: Path) -> None:
    report_runs([lens_run], tmp_path / "report", seed=0)
    (run,) = report_json(tmp_path / "report")
    assert values(run["overall"]) == {"count_accuracy": (0.6667, 0.6667), "exact_match": (0.3333, 0.6667)}
    assert [(row["group"], row["n"]) for row in run["tables"][0]["rows"]] == [("0", 1), ("3", 2)]
    assert [(row["group"], row["n"]) for row in run["tables"][1]["rows"]] == [("simple", 2), ("complex", 1)]
    layers = run["lens"]["layers"]
    assert [round(layer["accuracy_latin"], 4) for layer in layers] == [0, 0.6667, 0.3333]
    assert [round(layer["accuracy_any"], 4) for layer in layers] == [0, 1, 0.6667]
    assert [layer["n"] for layer in layers] == [3, 3, 3]


def test_the_page_fetches_nothing_and_runs_nothing(chart_run: Path, lens_run: Path, tmp_path: Path) -> None:
    report_runs([chart_run, lens_run], tmp_path / "report", seed=0)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href|srcset|data|action)\s*=\s*"([^"]*)"', page)
    assert links
    assert all(link.startswith(("#", "data:image/webp;base64,")) for link in links)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"<(script|link|iframe)\b", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "title &lt;b&gt;bold&lt;/b&gt;" in page
    assert "draining &lt;now&gt;" in page


def test_the_page_shows_what_the_reader_needs(chart_run: Path, lens_run: Path, tmp_path: Path) -> None:
    reports = report_runs([chart_run, lens_run], tmp_path / "report", seed=0)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 + 2 + 1 + 5, "the logo, a latency figure each, a confusion, five figures of the lens"
    assert "Accuracy per layer (n = 3)" in page
    for report in reports:
        assert report.record.selection.sha256 in page
        assert report.record.machine.cpu in page
    assert len(set(re.findall(r'id="([^"]+)"', page))) == len(re.findall(r'id="([^"]+)"', page)), "ids are unique"


def test_ids_stay_unique_with_two_lens_runs(lens_run: Path, tmp_path: Path) -> None:
    report_runs([lens_run, lens_run], tmp_path / "report", seed=0)
    ids = re.findall(r'id="([^"]+)"', (tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert len(ids) > 100, "seven drawings each"
    assert len(set(ids)) == len(ids)


@pytest.mark.usefixtures("undrawn")
def test_cards_judge_by_the_type_s_rule_and_show_the_gold_where_it_reads_differently(
    chart_run: Path, tmp_path: Path
) -> None:
    report_runs([chart_run], tmp_path / "report", seed=0)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    cards = re.findall(r'<article class="example">.*?</article>', page, flags=re.DOTALL)
    (card,) = (card for card in cards if "elm, oak" in card)
    assert "✓" in card
    assert "gold: oak, elm" in card


@pytest.mark.usefixtures("undrawn")
def test_what_was_left_out_of_the_data_set_is_counted_by_kind(
    tallyqa: Make, tally: Make, do_run: Make, tmp_path: Path
) -> None:
    entries = [tally(1), tally(2, image="missing.png"), tally(3, image="missing.png"), tally(4, answer="many")]
    do_run("tallyqa", tallyqa(entries))
    report_runs([tmp_path / "run"], tmp_path / "report", seed=0)
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert '<th>missing image</th><td class="number">2</td>' in page
    assert '<th>unknown answer type</th><td class="number">1</td>' in page


def test_a_report_is_a_function_of_the_run_folder(lens_run: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        report_runs([lens_run], tmp_path / out, seed=0)
    one, two = ((tmp_path / out / "index.html").read_bytes() for out in ("one", "two"))
    assert one == two


@pytest.mark.usefixtures("undrawn")
def test_a_killed_run_is_reported_as_one(chart_run: Path, tmp_path: Path) -> None:
    outcomes = chart_run / "outcomes.jsonl"
    outcomes.write_bytes(outcomes.read_bytes()[:-30])
    record = json.loads((chart_run / "run.json").read_text())
    (chart_run / "run.json").write_text(json.dumps({**record, "status": "running", "ended": None}))
    (report,) = report_runs([chart_run], tmp_path / "report", seed=0)
    assert (report.torn_lines, report.unasked) == (1, 1)
    assert "did not finish" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_an_answer_has_a_report(chart_run: Path, tmp_path: Path) -> None:
    (chart_run / "outcomes.jsonl").write_bytes(b"")
    (report,) = report_runs([chart_run], tmp_path / "report", seed=0)
    assert report.overall is None
    assert "No question was answered" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_runs_with_the_same_name_are_distinguished(chart_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "charts"
    other.mkdir(parents=True)
    for name in ("run.json", "outcomes.jsonl"):
        (other / name).write_bytes((chart_run / name).read_bytes())
    reports = report_runs([chart_run, other], tmp_path / "report", seed=0)
    assert [report.name for report in reports] == [f"{tmp_path.name}-charts", "elsewhere-charts"]


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ReplayError, match="run"):
        report_runs([tmp_path], tmp_path / "report", seed=0)


def test_a_run_of_an_unknown_task_is_refused(chart_run: Path, tmp_path: Path) -> None:
    record = json.loads((chart_run / "run.json").read_text())
    (chart_run / "run.json").write_text(json.dumps({**record, "task": "chartqa"}))
    with pytest.raises(ReplayError, match="chartqa"):
        report_runs([chart_run], tmp_path / "report", seed=0)


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_cannot_be_written_is_an_error_with_a_name(chart_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReplayError, match="file"):
        report_runs([chart_run], tmp_path / "file", seed=0)


@pytest.mark.usefixtures("undrawn")
def test_the_file_holds_each_run_s_figures_by_the_seed_that_was_given(tmp_path: Path) -> None:
    paths = []
    for name, most in (("first", 11), ("second", 13)):
        outcomes = [answered(f"{n * n % most}", "0", f"{n % 17}") for n in range(60)]
        paths.append(write_run(tmp_path / name, outcomes, record_of()))
    report_runs(paths, tmp_path / "report", seed=3)
    figures = [compute(path.name, *load_run(path), seed=3) for path in paths]
    assert report_json(tmp_path / "report") == [as_json(entry) for entry in figures]
    assert as_json(compute("second", *load_run(paths[1]), seed=4)) != as_json(figures[1])
