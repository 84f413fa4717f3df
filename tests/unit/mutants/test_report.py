"""What counts as noticed, and what a reason covers."""

import pytest

from tests.mutants import reasons, report
from tests.mutants.mutant import Fate, Mutant
from tests.mutants.reasons import Reasons, Rule, Survivor

KNOWN = Reasons(
    rule=(Rule(change=r"encoding=None", reason="everywhere"),),
    survivor=(Survivor(module="b.py", function="f", change="x → y", reason="looked at"),),
)


@pytest.mark.parametrize(
    ("exit_code", "fate"),
    [
        (0, Fate.SURVIVED),
        (1, Fate.NOTICED),  # a test failed
        (2, Fate.NOTICED),  # a test could not be collected
        (-11, Fate.NOTICED),
        (-24, Fate.NOTICED),  # out of time
        (5, Fate.NO_TEST),
        (33, Fate.NO_TEST),
        (None, Fate.UNTRIED),
    ],
)
def test_a_mutant_is_noticed_if_its_tests_do_anything_but_pass(exit_code: int | None, fate: Fate) -> None:
    assert Fate.of(exit_code) is fate


def test_a_reason_holds_for_its_own_place_only() -> None:
    assert KNOWN.of(Mutant("b.py", "f", Fate.SURVIVED, "x → y")) == "looked at"
    assert KNOWN.of(Mutant("b.py", "g", Fate.SURVIVED, "x → y")) is None
    assert KNOWN.of(Mutant("c.py", "f", Fate.SURVIVED, "x → y")) is None
    assert KNOWN.of(Mutant("b.py", "f", Fate.SURVIVED, "x → z")) is None
    assert KNOWN.of(Mutant("c.py", "h", Fate.NO_TEST, "open(encoding=None)")) == "everywhere"


def test_an_explained_survivor_counts_as_unnoticed_and_one_not_tried_does_not_count() -> None:
    mutants = [
        Mutant("b.py", "f", Fate.SURVIVED, "x → y"),
        Mutant("b.py", "f", Fate.NO_TEST, "x → z"),
        *[Mutant("b.py", "f", Fate.NOTICED)] * 6,
        *[Mutant("b.py", "f", Fate.UNTRIED)] * 3,
        Mutant("a.py", "f", Fate.NOTICED),
    ]
    first, second = report.tally(mutants, KNOWN)
    assert (first.module, first.percent, first.holds) == ("a.py", 100.0, True)
    assert (second.noticed, second.tried, second.explained, second.untried) == (6, 8, 1, 3)
    assert [mutant.change for mutant in second.unexplained] == ["x → z"]
    assert (second.percent, second.holds) == (75.0, False)


def test_the_list_of_reasons_is_well_formed() -> None:
    assert reasons.load().rule
