"""Which questions a report shows as cards, and what the cards show."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pytest

from clients.replay.report.examples import Example, Examples
from clients.replay.run.folder import RunFolder, kept_path
from clients.replay.run.outcomes import Scored
from clients.replay.tasks import TASKS
from tests.unit.replay.reading import answered, columns


def examples(folder: Path, outcomes: Sequence[Scored], task: str = "tallyqa", seed: int = 0) -> Examples:
    return Examples(TASKS[task], columns(folder, outcomes, task), RunFolder(folder), seed)


def keep(folder: Path, *images: str) -> None:
    (folder / "pictures").mkdir(exist_ok=True)
    for image in images:
        kept_path(folder / "pictures", sha256(image)).write_bytes(image.encode())


def sha256(image: str) -> str:
    return f"{image:0<64}"


def shown(answer: str, gold: str, image: str, question: str, **changes: object) -> Scored:
    return answered(answer, gold, image, image_sha256=sha256(image), question=question, **changes)


def questions(cards: Sequence[Example]) -> list[str]:
    return [card.question for card in cards]


def test_the_worst_is_the_count_furthest_off_and_an_answer_without_a_number_comes_last(tmp_path: Path) -> None:
    keep(tmp_path, *"abcde")
    outcomes = [
        shown("many", "2", "a", "no number"),
        shown("14", "15", "b", "off by one"),
        shown("2", "9", "c", "off by seven"),
        shown("3", "3", "d", "right"),
        shown("6", "2", "e", "off by four"),
    ]
    found = examples(tmp_path, outcomes)
    assert questions(found.worst()) == ["off by seven", "off by four", "off by one"]
    assert questions(found.best()) == ["right"]
    assert [card.right for card in (*found.worst(), *found.best())] == [False, False, False, True]


def test_a_right_answer_is_not_among_the_worst_however_few_are_wrong(tmp_path: Path) -> None:
    outcomes = [answered("3", "3", "a", question="right"), answered("4", "3", "b", question="wrong")]
    assert questions(examples(tmp_path, outcomes).worst()) == ["wrong"]


def test_the_lowest_score_is_worst_and_only_a_full_one_best(tmp_path: Path) -> None:
    items = {"answer_type": "unranked list"}
    outcomes = [
        answered("a, b, x", ("a", "b", "c"), "1", question="two of three", **items),
        answered("x, y, z", ("a", "b", "c"), "2", question="none of three", **items),
        answered("a, c, b", ("a", "b", "c"), "3", question="all three", **items),
        answered("a, x, y", ("a", "b", "c"), "4", question="one of three", **items),
    ]
    found = examples(tmp_path, outcomes, "realcqa")
    assert questions(found.worst()) == ["none of three", "one of three", "two of three"]
    assert questions(found.best()) == ["all three"]


def test_questions_whose_image_was_kept_come_first_and_each_image_once(tmp_path: Path) -> None:
    keep(tmp_path, "kept", "also")
    outcomes = [
        *(shown("3", "3", f"lost{n}", f"lost {n}") for n in range(5)),
        *(shown("3", "3", "kept", f"kept {n}") for n in range(4)),
        shown("3", "3", "also", "also"),
    ]
    first, second, third = examples(tmp_path, outcomes).best()
    assert {first.image, second.image} == {data_url("kept"), data_url("also")}
    assert (third.question.split()[0], third.image) == ("lost", None)


def data_url(image: str) -> str:
    return f"data:image/webp;base64,{base64.b64encode(image.encode()).decode()}"


def test_the_worst_are_of_images_that_the_best_do_not_show(tmp_path: Path) -> None:
    keep(tmp_path, *"abcdef")
    outcomes = [
        *(shown("3", "3", image, f"right {image}") for image in "abc"),
        *(shown("9", "3", image, f"far off {image}") for image in "abc"),
        *(shown("4", "3", image, f"near {image}") for image in "def"),
    ]
    found = examples(tmp_path, outcomes)
    best = found.best()
    assert {question.split()[0] for question in questions(found.worst())} == {"far"}
    assert {question.split()[0] for question in questions(found.worst(best))} == {"near"}


def test_the_seed_chooses_among_equals(tmp_path: Path) -> None:
    outcomes = [answered("3", "3", f"{n}.png", question=f"q{n}") for n in range(40)]
    run = columns(tmp_path, outcomes)
    one, again, other = (Examples(TASKS["tallyqa"], run, RunFolder(tmp_path), seed).best() for seed in (1, 1, 2))
    assert len(one) == 3
    assert one == again
    assert questions(one) != questions(other)
    assert questions(one) != ["q0", "q1", "q2"]


def lens(*tokens: str) -> dict[str, object]:
    layers = [
        {"tokens": [token, "z"], "probs": [0.1 * (place + 1), 0.05], "entropy": 1, "answer_prob": 0.7, "answer_rank": 0}
        for place, token in enumerate(tokens)
    ]
    return {"token": "3", "layers": layers}


def test_the_spotlight_is_on_the_right_answer_whose_layers_changed_their_mind_most(tmp_path: Path) -> None:
    keep(tmp_path, *"abcdf")
    outcomes = [
        shown("9", "9", "f", "without lens"),
        shown("3", "3", "a", "changed once", lens=lens("x", "x", "x", "3")),
        shown("4", "3", "b", "changed most, wrong", lens=lens("x", "y", "x", "4")),
        shown("3", "3", "c", "changed twice", lens=lens("x", "x", "三", "3")),
        shown("3", "3", "d", "changed there and back", lens=lens("x", "3", "3", "3")),
        shown("3", "3", "e", "changed most, image lost", lens=lens("x", "y", "x", "3")),
    ]
    run = columns(tmp_path, outcomes)
    card, *others = (Examples(TASKS["tallyqa"], run, RunFolder(tmp_path), seed).spotlight() for seed in range(9))
    assert all(other == card for other in others)
    assert card is not None
    assert (card.question, card.image) == ("changed twice", data_url("c"))
    assert [(cell.layer, cell.token, cell.hit) for cell in card.layers] == [
        (0, "x", False),
        (1, "x", False),
        (2, "三", True),
        (3, "3", True),
    ]
    assert [cell.prob for cell in card.layers] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_an_answer_whose_layers_agree_has_the_spotlight_before_one_without_a_trace(tmp_path: Path) -> None:
    keep(tmp_path, "a", "b")
    outcomes = [shown("9", "9", "a", "without lens"), shown("3", "3", "b", "never changed", lens=lens("3", "3"))]
    card = examples(tmp_path, outcomes).spotlight()
    assert card is not None
    assert card.question == "never changed"


@pytest.mark.parametrize(
    ("answer", "image", "trace"), [("3", "a", None), ("4", "a", lens("4")), ("3", "lost", lens("3"))]
)
def test_without_lens_right_answers_or_their_images_there_is_no_spotlight(
    tmp_path: Path, answer: str, image: str, trace: object
) -> None:
    keep(tmp_path, "a")
    outcomes = [shown(answer, "3", image, "q", lens=trace), shown("4", "3", "a", "wrong", lens=lens("4"))]
    assert examples(tmp_path, outcomes if trace else outcomes[:1]).spotlight() is None


def test_a_layer_without_tokens_has_no_cell_and_text_hits_whatever_its_case(tmp_path: Path) -> None:
    layers = lens(" Tree", "oak")["layers"]
    assert isinstance(layers, list)
    empty = {"tokens": [], "probs": [], "entropy": 1, "answer_prob": 0.5, "answer_rank": 0}
    trace = {"token": "tree", "layers": [empty, *layers]}
    (card,) = examples(tmp_path, [answered("tree", "tree ", answer_type="string", lens=trace)], "realcqa").best()
    assert [(cell.layer, cell.token, cell.hit) for cell in card.layers] == [(1, " Tree", True), (2, "oak", False)]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"kind": "structure", "complexity": "simple"}, "structure"),
        ({"complexity": "simple"}, "simple"),
        ({}, "unranked list"),
    ],
)
def test_a_card_names_the_kind_of_its_question(tmp_path: Path, labels: dict[str, str], kind: str) -> None:
    outcome = answered("b, a", ("a", "b"), answer_type="unranked list", labels=labels, question="which?")
    (card,) = examples(tmp_path, [outcome], "realcqa").best()
    assert (card.question, card.answer, card.gold, card.kind) == ("which?", "b, a", "a, b", kind)
    assert (card.image, card.layers) == (None, ())
