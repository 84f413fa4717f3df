"""Mistakes in other evaluations, one test each, unless another module's tests cover them.

Others are covered in ``test_relaxed`` (relaxed correctness and its numbers), ``test_selection`` (drawing from the head
of the file, dropping after the draw), ``test_lens`` (Chinese tokens), ``test_counting`` (``²`` and ``②``) and
``test_datasets`` (missing charts, unknown types).
"""

import base64
import math
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from clients.replay.scoring.gold import AnswerType, Gold
from clients.replay.scoring.lists import split
from clients.replay.scoring.metrics import COUNT_ACCURACY, TYPED
from clients.replay.scoring.relaxed import relaxed_pix2struct, relaxed_strict
from clients.replay.scoring.text import anls
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import columns_of, load

if TYPE_CHECKING:
    from tests.unit.replay.conftest import FakeService

Make = Callable[..., Any]

# the cases of Pix2Struct's own test, with the expected means
PIX2STRUCT_CASES = [
    *(("abc", "abc"), ("abc", "Abc"), ("Abc", "abc"), ("100%", "96%")),
    *(("100%", "94%"), ("100%", "0.96"), ("100%", "0.94"), ("Don't", "Won't")),
]


def test_pix2struct_s_own_cases() -> None:
    assert sum(relaxed_pix2struct(answer, gold) for answer, gold in PIX2STRUCT_CASES) / 8 == 0.625
    assert sum(anls(answer, gold) for answer, gold in PIX2STRUCT_CASES) / 8 == pytest.approx(0.475)


def test_relaxed_correctness_is_its_definition_on_500_pairs_without_traps() -> None:
    """Exact fractions decide what five percent of the target is; zeros and exact ties are excluded."""
    draw, seen = random.Random(8), set()
    for _ in range(500):
        target = Fraction(draw.choice([1, -1]) * draw.randint(1, 180_000), 100)
        answer = Fraction(round(target * Fraction(draw.randint(880, 1120), 1000) * 100), 100)
        deviation = abs(answer - target) / abs(target)
        if abs(deviation - Fraction(1, 20)) < Fraction(1, 10**9):
            continue
        sign = draw.choice(["", "%"])
        texts = tuple(f"{float(value):.2f}{sign}" for value in (answer, target))
        right = deviation <= Fraction(1, 20)
        seen.add(right)
        assert relaxed_pix2struct(*texts) == relaxed_strict(*texts) == right, texts
    assert seen == {True, False}


GOLDS: list[tuple[AnswerType, Gold]] = [
    (AnswerType.STRING, "Line chart"),
    (AnswerType.NUMERICAL, "-12.5"),
    (AnswerType.NUMERICAL, "0"),
    (AnswerType.BINARY, "Yes"),
    (AnswerType.RANKED_LIST, ("oak", "elm", "fir")),
    (AnswerType.RANKED_LIST, ("oak",)),
    (AnswerType.UNRANKED_LIST, ("oak", "elm")),
]


@pytest.mark.parametrize(("answer_type", "gold"), GOLDS)
def test_the_answer_is_scored_not_the_gold_answer_against_itself(answer_type: AnswerType, gold: Gold) -> None:
    """RealCQA's evaluator, as committed, uses the gold answer as the prediction: everything scores 1."""
    said = gold if isinstance(gold, str) else ", ".join(gold)
    assert TYPED.score(said, gold, answer_type) == 1
    assert TYPED.score("something else", gold, answer_type) == 0


@pytest.mark.parametrize(
    ("answer", "gold", "score"), [("100", "-12.5", 0), ("-12.4", "-12.5", 1), ("0.0001", "0", 0), ("0.0", "0", 1)]
)
def test_a_negative_gold_number_can_be_missed_and_a_zero_hit(answer: str, gold: str, score: float) -> None:
    """RealCQA divides by the signed gold number: a negative one is always right. The study: always wrong."""
    assert TYPED.score(answer, gold, AnswerType.NUMERICAL) == score


@pytest.mark.parametrize("answer", ["YES", "yes", "True", "1", "Yes."])
def test_yes_is_yes_however_written(answer: str) -> None:
    assert TYPED.score(answer, "Yes", AnswerType.BINARY) == 1


def test_repeating_a_right_item_cannot_pay() -> None:
    assert TYPED.score("oak, oak, oak, elm", ("oak", "elm"), AnswerType.UNRANKED_LIST) < 1


def test_the_first_item_of_a_ranked_list_counts_most() -> None:
    """RealCQA uses the position in the list as the gain: the first item has gain 0."""
    gold = ("oak", "elm", "fir")
    first, last = (TYPED.score(item, gold, AnswerType.RANKED_LIST) for item in ("oak", "fir"))
    assert first == pytest.approx(3 / (3 + 2 / math.log2(3) + 1 / 2))
    assert 0 < last < first


def test_a_predicted_list_is_cut_into_items_not_characters() -> None:
    assert split("oak, elm") == ("oak", "elm")
    assert TYPED.score("o, a, k", ("oak", "elm"), AnswerType.RANKED_LIST) == 0


def test_a_long_gold_answer_is_kept_whole(realcqa: Make, block: Make) -> None:
    """The fine-tuning study read its gold answers back from labels cut at 20 tokens."""
    answer = " ".join(f"word{number}" for number in range(60))
    (sample,) = load("realcqa", realcqa({"PMC1_a": [block(answer_type="String", answer=answer)]})).samples
    assert sample.gold == answer


def test_images_are_sent_byte_for_byte_not_squeezed(
    tallyqa: Make, tally: Make, do_run: Make, service: "FakeService"
) -> None:
    """The lens study squeezed every image to 512 x 512."""
    data = tallyqa([tally(1)])
    do_run("tallyqa", data)
    assert base64.b64decode(service.bodies[1]["image"]) == (data / "VG_100K" / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("answer", "gold", "score"),
    [
        (" Four ", "4", 1),
        ("none", "0", 1),
        ("11", "11", 1),
        ("11 of them", "11", 0),
        ("about 4", "4", 0),
        ("twenty", "2", 0),
    ],
)
def test_a_count_is_the_whole_answer_stripped(answer: str, gold: str, score: float) -> None:
    assert COUNT_ACCURACY.score(answer, gold, AnswerType.COUNT) == score


@pytest.mark.parametrize("answer", [4, "4", " 4", 4.0, "4.0", "4.", "+4", "4\r\n"], ids=repr)
def test_a_gold_count_may_be_a_number_or_text(tallyqa: Make, tally: Make, answer: object) -> None:
    (sample,) = load("tallyqa", tallyqa([tally(1, answer=answer)])).samples
    assert sample.gold == "4"


def test_outages_and_empty_answers_are_not_confused(
    tallyqa: Make, tally: Make, do_run: Make, service: "FakeService", tmp_path: Path
) -> None:
    """An evaluation that turns exceptions into empty answers hides outages among wrong answers."""
    service.answers = {"How many dogs 1?": "", "How many dogs 2?": httpx.ReadError("lost"), "How many dogs 3?": "3"}
    do_run("tallyqa", tallyqa([tally(number) for number in range(1, 4)]))
    run = columns_of(tmp_path / "run")
    assert (run.n, run.failed) == (2, 1)
    assert run.scores[TASKS["tallyqa"].verdict.name].tolist() == [0, 1]
