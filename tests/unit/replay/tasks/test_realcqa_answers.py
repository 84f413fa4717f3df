"""Gold answers of RealCQA's blocks: their types and all their formats."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.replay.scoring.gold import AnswerType, Gold
from clients.replay.tasks.datasets.realcqa_answers import gold_of, type_of
from clients.replay.tasks.entries import EntryError
from clients.replay.tasks.sample import SkipReason


@pytest.mark.parametrize(
    ("name", "answer_type"),
    [
        ("String", AnswerType.STRING),
        ("Numerical", AnswerType.NUMERICAL),
        ("binary", AnswerType.BINARY),
        (" Ranked list\n", AnswerType.RANKED_LIST),
        ("UNRANKED LIST", AnswerType.UNRANKED_LIST),
    ],
)
def test_the_types_by_their_names(name: str, answer_type: AnswerType) -> None:
    assert type_of(name) is answer_type


@pytest.mark.parametrize("name", ["Essay", "count", "list", ""])
def test_a_type_that_realcqa_does_not_have_is_named(name: str) -> None:
    with pytest.raises(EntryError, match=f"answer_type '{name}'") as caught:
        type_of(name)
    assert caught.value.kind is SkipReason.UNKNOWN_ANSWER_TYPE


@pytest.mark.parametrize("answer_type", [AnswerType.STRING, AnswerType.NUMERICAL, AnswerType.BINARY])
@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("bar chart", "bar chart"),
        ("1,000", "1,000"),
        ("[1, 2]", "[1, 2]"),
        (-3.5, "-3.5"),
        (0, "0"),
        (True, "True"),
        (["wrapped"], "wrapped"),
        ([7], "7"),
    ],
)
def test_one_value_is_text_and_may_be_wrapped_in_a_list(answer_type: AnswerType, answer: object, gold: str) -> None:
    assert gold_of({"answer": answer}, answer_type) == gold


@pytest.mark.parametrize("answer_type", [AnswerType.RANKED_LIST, AnswerType.UNRANKED_LIST])
@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (["b", "a", 3], ("b", "a", "3")),
        ([" c ", "a, b"], ("c", "a, b")),
        ([["nested", "once"]], ("nested", "once")),
        ("['y', 'x']", ("y", "x")),
        (" ('y', 'x', 2)", ("y", "x", "2")),
        ("'y', 'x'", ("y", "x")),
        ('"y", "x"', ("y", "x")),
        ("[['y', 'x']]", ("y", "x")),
        ("{'y', 'x'}", ("y", "x")),
        ("['y', 'x'].", ("y", "x")),
        ("[y, X]", ("y", "X")),
        ("y, x; Z", ("y", "x", "Z")),
        ("x", ("x",)),
        (" 'x'", ("'x'",)),
        (3, ("3",)),
        ("1,000, 2,500", ("1,000", "2,500")),
        ("1.50, 2e3, 0.0", ("1.50", "2e3", "0.0")),
        ("[oak, elm", ("[oak", "elm")),
        ("[{[1]: 2}]", ("[{[1]: 2}]",)),
        ("(a) oak, (b) elm", ("(a) oak", "(b) elm")),
    ],
)
def test_a_list_is_its_items_however_it_is_written(answer_type: AnswerType, answer: object, gold: Gold) -> None:
    assert gold_of({"answer": answer}, answer_type) == gold


@pytest.mark.parametrize(
    ("answer_type", "answer"),
    [
        (AnswerType.STRING, []),
        (AnswerType.STRING, ["a", "b"]),
        (AnswerType.STRING, [["a"]]),
        (AnswerType.NUMERICAL, " "),
        (AnswerType.BINARY, None),
        (AnswerType.RANKED_LIST, []),
        (AnswerType.RANKED_LIST, [[]]),
        (AnswerType.RANKED_LIST, "[]"),
        (AnswerType.RANKED_LIST, ["a", None]),
        (AnswerType.RANKED_LIST, "['a', None]"),
        (AnswerType.UNRANKED_LIST, ["a", " "]),
        (AnswerType.UNRANKED_LIST, [["a"], ["b"]]),
        (AnswerType.UNRANKED_LIST, {"a": 1}),
        (AnswerType.UNRANKED_LIST, " , "),
    ],
)
def test_what_holds_no_answer_is_a_broken_entry(answer_type: AnswerType, answer: object) -> None:
    with pytest.raises(EntryError, match="'answer'") as caught:
        gold_of({"answer": answer}, answer_type)
    assert caught.value.kind is SkipReason.BROKEN_ENTRY


@pytest.mark.parametrize("block", [None, "text", ["answer"], {}])
def test_what_is_no_block_is_a_broken_entry(block: object) -> None:
    with pytest.raises(EntryError):
        gold_of(block, AnswerType.RANKED_LIST)


LITERALS = st.text("[](){}',:\"0123aA. \\\n-+j", max_size=12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(LITERALS)
@example("[" * 5000)
@example("[{[1]: 2}]")
def test_whatever_stands_there_is_items_or_a_broken_entry_and_no_crash(text: str) -> None:
    try:
        gold = gold_of({"answer": text}, AnswerType.UNRANKED_LIST)
    except EntryError as error:
        assert error.kind is SkipReason.BROKEN_ENTRY  # noqa: PT017 - one of two good ends
    else:
        assert isinstance(gold, tuple)
        assert all(item.strip() for item in gold)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=6))
def test_numbers_in_writing_are_the_items_that_were_written(numbers: list[int]) -> None:
    for form in ("{:,}", "{:.2f}", "{}"):
        items = tuple(form.format(number) for number in numbers)
        assert gold_of({"answer": ", ".join(items)}, AnswerType.RANKED_LIST) == items
        assert gold_of({"answer": repr(list(items))}, AnswerType.RANKED_LIST) == items
