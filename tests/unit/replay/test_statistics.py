"""Intervals and paired tests against scipy, and against cases worked out by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.bootstrap import ClusterBootstrap, interval, share_interval
from clients.replay.comparison import Comparison, Run, compare
from clients.replay.counts import count_figures
from clients.replay.errors import ReplayError
from clients.replay.evidence import sentence
from clients.replay.folder import RunFolder
from clients.replay.outcomes import Scored
from clients.replay.report import compare_runs
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import columns

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]
TALLYQA = TASKS["tallyqa"]


def answers(right: list[bool], per_picture: int = 1, latency_ms: float = 100.0, wrong: str = "4") -> list[Scored]:
    """Answers to questions with gold 3, so many about each picture."""
    return [
        Scored.model_validate(
            {
                "sample_id": str(number),
                "image": f"{number // per_picture}.png",
                "question": "How many?",
                "gold": "3",
                "answer_type": "count",
                "latency_ms": latency_ms + number % 7,
                "answer": "3" if hit else wrong,
                "finish_reason": "stop",
                "usage": {"image_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1},
                "timing": {"queue_ms": 1, "preprocess_ms": 1, "inference_ms": 5, "total_ms": 9},
            }
        )
        for number, hit in enumerate(right)
    ]


def compared(tmp_path: Path, first: list[Scored], *others: list[Scored]) -> tuple[Comparison, ...]:
    runs = []
    for number, outcomes in enumerate((first, *others)):
        (tmp_path / str(number)).mkdir()
        runs.append(Run("ABCD"[number], columns(tmp_path / str(number), outcomes)))
    return compare(TALLYQA, runs[0], runs[1:], seed=0)


def test_mcnemar_is_scipy_s_exact_test_of_the_questions_on_which_they_differ(tmp_path: Path) -> None:
    first, second = [True] * 30 + [False] * 10, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8
    (found,) = compared(tmp_path, answers(first), answers(second))
    assert (found.verdict.only_reference, found.verdict.only_other) == (8, 2)
    assert found.verdict.p == pytest.approx(stats.binomtest(2, 10).pvalue)
    accuracy = found.differences[0]
    assert (accuracy.reference, accuracy.other) == (0.75, 0.6)
    assert accuracy.difference == pytest.approx(-0.15)
    assert accuracy.low < -0.15 < accuracy.high


def test_pairs_are_made_by_question_whatever_the_order_and_only_answered_ones(tmp_path: Path) -> None:
    first, second = answers([True, False, True]), list(reversed(answers([True, False, True, True])))
    (found,) = compared(tmp_path, first, second)
    assert (found.n, found.unpaired) == (3, 1)
    assert (found.verdict.only_reference, found.verdict.only_other, found.verdict.p) == (0, 0, 1)
    assert all(entry.difference == 0 for entry in found.differences)


def test_a_question_whose_gold_answer_changed_is_no_pair(tmp_path: Path) -> None:
    second = [answers([True])[0].model_copy(update={"gold": "4"}), answers([True, True])[1]]
    (found,) = compared(tmp_path, answers([True, True]), second)
    assert (found.n, found.unpaired) == (1, 2)


def test_pairing_sees_a_difference_that_two_separate_intervals_would_hide(tmp_path: Path) -> None:
    """Half of all questions are hard for both; the second run loses one easy question in ten."""
    first = [number % 2 == 0 for number in range(200)]
    second = [hit and number % 20 != 0 for number, hit in enumerate(first)]
    (found,) = compared(tmp_path, answers(first), answers(second))
    assert found.differences[0].shown
    assert found.differences[0].low > -0.10


def test_several_comparisons_hold_together(tmp_path: Path) -> None:
    first, second = [True] * 30 + [False] * 10, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8
    alone = compared(tmp_path, answers(first), answers(second))[0]
    (tmp_path / "more").mkdir()
    together = compared(tmp_path / "more", answers(first), answers(second), answers(first), answers(first))[0]
    assert together.verdict.p == pytest.approx(min(alone.verdict.p * 3, 1))
    assert together.differences[0].low < alone.differences[0].low


def test_the_ratio_of_latencies_is_paired(tmp_path: Path) -> None:
    (found,) = compared(tmp_path, answers([True] * 100, latency_ms=100), answers([True] * 100, latency_ms=50))
    median = found.latency[0]
    assert (median.reference_ms, median.other_ms) == (103, 53)
    assert median.low <= 53 / 103 <= median.high < 0.6
    assert median.shown


HEADLINE = TALLYQA.headline


@pytest.fixture
def tell(tmp_path: Path, do_run: Make, tallyqa: Make, tally: Make) -> Make:
    """The sentence about two runs; keywords change the second one's record."""
    do_run("tallyqa", tallyqa([tally(1)]), out=tmp_path / "record")
    record = RunFolder(tmp_path / "record").read_record()

    def make(first: list[Scored], second: list[Scored], **changes: object) -> str:
        (found,) = compared(tmp_path, first, second)
        return sentence(found, HEADLINE, (record, record.model_copy(update=changes)))

    return make


@pytest.mark.parametrize(
    ("second", "latency_ms", "words"),
    [
        ([True] * 100 + [False] * 100, 100, ["B answers worse than A", "−50.0 points", "No difference in speed"]),
        ([True] * 200, 50, ["cannot be told apart", "B is faster"]),
        ([True] * 199 + [False], 300, ["cannot be told apart", "B is slower", "beyond"]),
    ],
)
def test_the_sentence_says_no_more_than_the_tests(
    tell: Make, second: list[bool], latency_ms: float, words: list[str]
) -> None:
    text = tell(answers([True] * 200), answers(second, latency_ms=latency_ms))
    assert all(word in text for word in words), text


def test_the_sentence_warns_of_latencies_that_do_not_compare(tell: Make) -> None:
    text = tell(answers([True] * 20), answers([True] * 20, latency_ms=10), concurrency=8)
    assert "at different concurrency" in text
    assert "only 20 pictures" in text


def test_rmse_and_confusion(tmp_path: Path) -> None:
    """Golds are 3. Errors 0, 0, 1, 4; "many" is no number: wrong, but without a distance."""
    made = answers([True, True, False, False, False])
    texts = ("3", "3", "4", "七", "many")
    outcomes = [outcome.model_copy(update={"answer": text}) for outcome, text in zip(made, texts, strict=True)]
    found = count_figures(columns(tmp_path, outcomes), seed=0)
    assert found is not None
    assert (found.n, found.unread) == (4, 1)
    assert found.rmse == pytest.approx(np.sqrt((1 + 16) / 4))
    assert found.rmse_baseline == 0, "every gold is the majority count"
    assert {place: n for place, n in enumerate(found.confusion[3]) if n} == {3: 2, 4: 1, 7: 1, 16: 1}
    assert sum(map(sum, found.confusion)) == 5


@pytest.fixture
def two_runs(tallyqa: Make, tally: Make, do_run: Make, service: "FakeService", tmp_path: Path) -> list[Path]:
    data = tallyqa([tally(number, image=f"VG_100K/{number % 8}.png") for number in range(40)])
    for name, wrong in (("first", 4), ("second", 12)):
        service.answers = {f"How many dogs {number}?": "3" if number >= wrong else "5" for number in range(40)}
        do_run("tallyqa", data, out=tmp_path / name)
    return [tmp_path / "first", tmp_path / "second"]


def test_compare_writes_a_page_and_its_figures(two_runs: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", *map(str, two_runs), "--out", str(tmp_path / "cmp")])
    assert result.exit_code == 0, result.output
    assert "second answers worse than first" in result.output
    content = json.loads((tmp_path / "cmp" / "compare.json").read_text(encoding="utf-8"))
    (comparison,) = content["comparisons"]
    assert (comparison["n"], comparison["verdict"]["only_reference"], comparison["verdict"]["only_other"]) == (40, 8, 0)
    page = (tmp_path / "cmp" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3, "the logo, quality against latency, differences"
    assert "<script" not in page
    assert content["sentences"][0].split(" (")[0] in page


def test_compare_is_a_function_of_the_run_folders(two_runs: list[Path], tmp_path: Path) -> None:
    for out in ("one", "two"):
        compare_runs(two_runs, tmp_path / out, seed=0)
    for name in ("index.html", "compare.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_runs_that_share_no_question_stand_side_by_side_unpaired(
    two_runs: list[Path], tallyqa: Make, tally: Make, do_run: Make, tmp_path: Path
) -> None:
    do_run("tallyqa", tallyqa([tally(number) for number in range(500, 503)]), out=tmp_path / "other")
    (text,) = compare_runs([two_runs[0], tmp_path / "other"], tmp_path / "cmp", seed=0)
    assert "shares no question" in text


def test_runs_of_two_tasks_are_not_compared(
    two_runs: list[Path], realcqa: Make, block: Make, do_run: Make, tmp_path: Path
) -> None:
    do_run("realcqa", realcqa({"PMC1_a": [block()]}), out=tmp_path / "charts")
    with pytest.raises(ReplayError, match="runs of one task"):
        compare_runs([two_runs[0], tmp_path / "charts"], tmp_path / "cmp", seed=0)


def test_one_run_is_compared_with_nothing(two_runs: list[Path], tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["compare", str(two_runs[0]), "--out", str(tmp_path / "cmp")]).exit_code == 2


def test_a_run_in_which_nothing_was_answered_stands_beside_one_that_was(two_runs: list[Path], tmp_path: Path) -> None:
    (two_runs[1] / "outcomes.jsonl").write_bytes(b"")
    (text,) = compare_runs(two_runs, tmp_path / "cmp", seed=0)
    assert "shares no question" in text
