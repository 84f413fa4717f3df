"""The report's page: each number next to its label, in readable words and units."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from markupsafe import Markup
from rich.console import Console

from clients.replay.analysis.scores import RunReport, compute
from clients.replay.report import summary_table
from clients.replay.report.examples import Example, LayerCell
from clients.replay.report.page import RunView, columns, command, duration, percent, render, visible_token
from clients.replay.report.run_page import names, write_pages
from clients.replay.run.outcomes import Failed, Scored
from tests.unit.replay.reading import answered, failed, record_of, table_rows, text_of
from tests.unit.replay.reading import columns as columns_of_outcomes

STRING, NUMBER = ({"answer_type": name} for name in ("string", "numerical"))


def question(answer: str, gold: str, image: str, latency_ms: float, **changes: object) -> Scored:
    timing = {"queue_ms": 1.5, "preprocess_ms": 22, "inference_ms": 333, "total_ms": 4444}
    return answered(answer, gold, image, latency_ms=latency_ms, timing=timing, **changes)


CHARTS: list[Scored | Failed] = [
    question("tree", "tree", "a", 100, sent_at_s=10.0, attempts=3, **STRING),
    question("fir", "oak", "a", 200, sent_at_s=10.1, finish_reason="length", **STRING),
    question("7.0", "7", "b", 400, sent_at_s=10.3, **NUMBER),
    failed("timeout", message="after <60 s>"),
]


def report_of(folder: Path, outcomes: Sequence[Scored | Failed], task: str = "realcqa", **changes: object) -> RunReport:
    record = record_of(task, **changes)
    return compute("mine", record, columns_of_outcomes(folder, outcomes, task, record.load), seed=0)


def page_of(report: RunReport, spotlight: Example | None = None, best: tuple[Example, ...] = ()) -> str:
    return render([RunView(report, (), None, None, best, (), spotlight)])


def test_a_group_s_row_reads_n_score_baseline_interval_and_majority(tmp_path: Path) -> None:
    """With two images, a quarter of the resamples have only the first, a quarter only the second."""
    page = page_of(report_of(tmp_path, CHARTS))
    head, *rows = table_rows(page)
    assert head == [
        *("", "n", "Exact match", "Exact match (as read)", "Relaxed (strict)", "Relaxed (Pix2Struct)", "ANLS"),
        *("Type-specific rule", "Majority answer"),
    ]
    found = {row[0]: row[1:] for row in rows}
    assert found["All questions"] == [
        *(
            "3",
            "",
            "33.3 33.3 0.0–50.0",
            "33.3 33.3 0.0–50.0",
            "66.7 33.3 50.0–100.0",
            "66.7 33.3 50.0–100.0",
            "33.3 33.3 0.0–50.0",
        ),
        *("66.7 33.3 50.0–100.0", "7"),
    ]
    assert found["Mean over 2 types"][0] == "3"
    assert found["Mean over 2 types"][7].startswith("75.0 75.0 ")
    assert (found["string"][0], found["string"][2][:9], found["string"][-1]) == ("2", "50.0 50.0", "oak")
    assert (found["numerical"][0], found["numerical"][-1]) == ("1", "7")
    assert found["timeout"] == ["1", "after <60 s>"]


def test_latency_s_table_and_its_note_name_their_figures(tmp_path: Path) -> None:
    report = report_of(tmp_path, CHARTS, load={"deadline_ms": 200})
    shown = render([RunView(report, (), Markup("<svg></svg>"), None, (), (), None)])
    rows = table_rows(shown)
    start = rows.index(["part", "n", "p50", "p90", "p95", "p99"])
    assert rows[start + 1 : start + 6] == [
        ["queue", "3", "1.5 ms", "1.5 ms", "1.5 ms", "1.5 ms"],
        ["preprocess", "3", "22 ms", "22 ms", "22 ms", "22 ms"],
        ["inference", "3", "333 ms", "333 ms", "333 ms", "333 ms"],
        ["total", "3", "4.44 s", "4.44 s", "4.44 s", "4.44 s"],
        ["client", "3", "200 ms", "360 ms", "380 ms", "396 ms"],
    ]
    text = text_of(shown)
    assert "p50 100 ms to 400 ms, p95 200 ms to 400 ms (95 % intervals)" in text
    assert "while requests were in flight: 4.3." in text
    assert "Within the deadline of 200 ms: 2.9 per second." in text
    assert "Retried: 1." in text
    assert "Answers truncated at the token limit: 1." in text


def test_counts_are_reported_with_their_error(tmp_path: Path) -> None:
    asked = (("5", "3", "a"), ("3", "3", "b"), ("?", "6", "b"))
    outcomes = [question(*texts, 9) for texts in asked]
    text = text_of(page_of(report_of(tmp_path, outcomes, "tallyqa")))
    assert "root mean square error 1.41 0.00–2.00 majority baseline 1.73 n 2 no number 1" in text


def test_a_run_that_was_stopped_says_how_much_is_missing(tmp_path: Path) -> None:
    text = text_of(page_of(report_of(tmp_path, CHARTS, status="interrupted")))
    assert "This run did not finish (interrupted): 5 questions were not asked." in text
    (tmp_path / "done").mkdir()
    assert "did not finish" not in page_of(report_of(tmp_path / "done", CHARTS))


CELLS = (LayerCell(0, " the", 0.126, hit=False), LayerCell(1, "三", 0.875, hit=True))


def test_a_card_shows_answer_verdict_gold_and_layers(tmp_path: Path) -> None:
    report = report_of(tmp_path, CHARTS)
    image = "data:image/webp;base64,AA=="
    right = Example("how many?", "3", "3", right=True, kind="simple", image=image, layers=CELLS)
    wrong = Example("how many?", "", "4", right=False, kind="complex", image=None, layers=())
    page = page_of(report, right, (right, wrong))
    first, second = re.findall(r'<article class="example">.*?</article>', page, flags=re.DOTALL)
    assert text_of(first) == "simple how many? ✓ 3 0 the 13 1 三 88"
    assert text_of(second) == "complex how many? ✗ (empty) gold: 4"
    assert f'src="{image}"' in first
    assert re.findall(r'<li style="--prob:([0-9.]+)"( class="hit")?', first) == [
        ("0.126", ""),
        ("0.875", ' class="hit"'),
    ]
    assert 'title="layer 1: 三, 87.5 %"' in first
    assert text_of(re.findall(r'<section class="spotlight">.*?</section>', page, flags=re.DOTALL)[0]).startswith(
        "One answer, layer by layer how many? ✓ 3 gold: 3"
    )


def test_a_bar_marks_its_baseline_and_is_grey_if_no_better(tmp_path: Path) -> None:
    page = page_of(report_of(tmp_path, CHARTS))
    bars = re.findall(r'class="meter( low)?" style="--value:([0-9.]+);--baseline:([0-9.]+)"', page)
    assert bars[:2] == [(" low", "0.3333", "0.3333"), (" low", "0.3333", "0.3333")], "the card, and the first row"
    (tmp_path / "more").mkdir()
    better = page_of(report_of(tmp_path / "more", [*CHARTS, question("elm", "elm", "c", 9, **STRING)]))
    assert 'class="meter" style="--value:0.5;--baseline:0.25"' in better


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (percent(0.12345), "12.3"),
        (percent(None), ""),
        (duration(9.94), "9.9 ms"),
        (duration(10), "10 ms"),
        (duration(999.4), "999 ms"),
        (duration(1000), "1.00 s"),
        (visible_token(" dog"), "dog"),
        (visible_token(" \n"), "␣⏎"),
        (visible_token("\t\r"), "⇥␍"),
        (visible_token(""), "∅"),
        ([columns(cells) for cells in (1, 10, 11, 29, 31)], [1, 10, 6, 10, 8]),
    ],
)
def test_figures_are_written_for_people(shown: object, text: object) -> None:
    assert shown == text


def test_the_command_asks_the_same_questions_again(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = command(report_of(tmp_path / "plain", CHARTS))
    assert plain.replace(" \\\n ", "") == (
        "python -m clients.replay run --task realcqa --data data --url http://127.0.0.1:9 --out mine --split test "
        "--seed 0 --concurrency 2 --timeout-s 60 --retries 0"
    )
    selection = {"split": "train", "simple_only": True, "max_answer": 0, "question_types": ["a b", "c"], "seed": 3}
    draws = {"picture_share": 0.25, "one_question_per_image": True, "limit": 50}
    full = command(
        report_of(
            tmp_path,
            CHARTS,
            selection={**selection, **draws, "questions": 9, "pictures": 4, "sha256": "5e"},
            shard={"index": 1, "count": 4, "questions": 3},
            max_patches=512,
            max_new_tokens=8,
            prompt="{question} Briefly.",
            lens=True,
            retries=2,
        )
    )
    assert full.replace(" \\\n ", "").partition("--retries ")[2] == (
        "2 --simple-only --max-answer 0 --question-type 'a b' --question-type c --picture-share 0.25 "
        "--one-question-per-image --limit 50 --shard 1/4 --max-patches 512 --max-new-tokens 8 "
        "--prompt '{question} Briefly.' --lens"
    )
    assert "--split train --seed 3" in full


def test_the_terminal_s_table_has_each_figure_in_its_column(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    table = summary_table([report_of(tmp_path, CHARTS), report_of(tmp_path / "none", [failed()])])
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    head, _, full, empty = (line.split() for line in capture.get().splitlines() if line.strip())
    assert head == ["run", "model", "score", "95", "%", "base", "n", "fail", "p50", "p95"]
    assert full == ["mine", "m", "fp32", "33.3", "0.0–50.0", "33.3", "3", "1", "200", "ms", "380", "ms"]
    assert empty == ["mine", "m", "fp32", "–", "–", "–", "0", "1", "–", "–"]


def test_runs_are_named_by_their_folders_and_by_their_parents_where_two_are_alike(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "run", tmp_path / "y" / "other", tmp_path / "z" / "run"]
    assert names(paths) == ["x-run", "other", "z-run"]


def test_pages_replace_what_was_there_whole(tmp_path: Path) -> None:
    (tmp_path / "deep" / "out").mkdir(parents=True)
    (tmp_path / "deep" / "out" / "a.html").write_text("old and longer than the new")
    write_pages(tmp_path / "deep" / "out", {"a.html": "Ä", "b.json": "{}"})
    found = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "deep" / "out").iterdir()}
    assert found == {"a.html": "Ä\n", "b.json": "{}\n"}
