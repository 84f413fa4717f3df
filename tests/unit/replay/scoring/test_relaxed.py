"""Relaxed correctness by both rules: tolerance, signs and years, number formats, and known quirks."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.replay.scoring.relaxed import relaxed_pix2struct, relaxed_strict

# answer, gold, verdict of Pix2Struct's rule, verdict of the strict rule
CASES = [
    pytest.param("10.4", "10", 1, 1, id="within-five-percent"),
    pytest.param("10.6", "10", 0, 0, id="beyond-five-percent"),
    pytest.param("100", "95", 0, 0, id="relative-to-the-target"),
    pytest.param("1.05", "1", 0, 1, id="rounding-of-the-bound"),
    pytest.param("1.05000001", "1", 0, 0, id="beyond-the-bound-by-more-than-rounding"),
    pytest.param("0.0", "0", 0, 1, id="zero-target-is-text-to-pix2struct"),
    pytest.param("0.01", "0", 0, 0, id="zero-target-wants-zero"),
    pytest.param("0", "0.01", 0, 0, id="zero-is-not-near"),
    pytest.param("50%", "50", 0, 1, id="percent-as-notation"),
    pytest.param("50%", "0.5", 1, 1, id="percent-as-hundredth"),
    pytest.param("50", "50%", 0, 1, id="notation-on-the-target"),
    pytest.param("0.5", "50%", 1, 1, id="hundredth-of-the-target"),
    pytest.param("0.524", "50%", 1, 1, id="hundredth-of-the-target-not-more"),
    pytest.param("5000", "50%", 0, 0, id="a-target-s-percent-is-not-times-a-hundred"),
    pytest.param("0.5%", "50", 0, 0, id="nor-is-an-answer-s"),
    pytest.param("50%", "0.5%", 0, 0, id="percent-on-both-sides-is-compared-as-it-stands"),
    pytest.param("50%", "51 %", 1, 1, id="percent-on-both-sides"),
    pytest.param("50%", "5", 0, 0, id="percent-of-something-else"),
    pytest.param("47.6%", "0.5", 1, 1, id="a-hundredth-not-less"),
    pytest.param("5X%", "0.05", 0, 0, id="a-letter-before-the-percent-sign-is-text"),
    pytest.param("50%%", "0.5", 1, 0, id="pix2struct-strips-every-percent-sign"),
    pytest.param("1,000", "1000", 0, 1, id="thousands-separator"),
    pytest.param("1,00", "100", 0, 0, id="misplaced-separator-is-text"),
    pytest.param("1234,567", "1234567", 0, 0, id="too-late-a-separator-is-text"),
    pytest.param(",100", "100", 0, 0, id="a-leading-separator-is-text"),
    pytest.param(" cat", "cat", 0, 1, id="text-is-stripped"),
    pytest.param("cat", "cat ", 0, 1, id="gold-text-is-stripped"),
    pytest.param("CAT", "cat", 1, 1, id="text-is-lower-cased"),
    pytest.param("cat", "CAT", 1, 1, id="gold-text-is-lower-cased"),
    pytest.param("5", "five", 0, 0, id="number-against-text"),
    pytest.param("five", "5", 0, 0, id="text-against-number"),
    pytest.param("12 cats", "12", 0, 0, id="a-number-inside-text-is-not-read"),
    pytest.param("2008", "2010", 1, 0, id="a-year-has-no-tolerance"),
    pytest.param("2010.0", "2010", 1, 1, id="a-year-is-a-number"),
    pytest.param("2010", "2,010", 0, 1, id="a-separator-makes-no-year"),
    pytest.param("2008", "2010.0", 1, 0, id="a-year-may-be-written-as-a-float"),
    pytest.param("2010", "2010.0", 1, 1, id="and-is-met-by-the-year"),
    pytest.param("2008", "2010.", 1, 0, id="or-with-a-full-stop"),
    pytest.param("2008", "２０１０", 1, 0, id="or-in-full-width"),
    pytest.param("2008", "2010.00", 1, 1, id="hundredths-make-no-year"),
    pytest.param("2008", "2010.5", 1, 1, id="a-fraction-makes-no-year"),
    pytest.param("2009", "2 010", 0, 1, id="a-space-makes-no-year"),
    pytest.param("-2008", "-2010", 1, 1, id="a-sign-makes-no-year"),
    pytest.param("20105", "20115", 1, 1, id="five-digits-are-no-year"),
    pytest.param("2009", " 2010 ", 1, 0, id="a-year-is-stripped"),
    pytest.param("1901", "1900", 1, 0, id="the-first-year"),
    pytest.param("1900", "1899", 1, 1, id="before-the-first-year"),
    pytest.param("2098", "2099", 1, 0, id="the-last-year"),
    pytest.param("2099", "2100", 1, 1, id="after-the-last-year"),
    pytest.param("-5", "-5", 1, 1, id="negative-target-equal"),
    pytest.param("-5.1", "-5", 1, 1, id="negative-target-near"),
    pytest.param("100", "-5", 0, 0, id="negative-target-is-not-always-right"),
    pytest.param("5", "-5", 0, 0, id="sign-counts"),
    pytest.param("-5", "5", 0, 0, id="sign-of-the-answer-counts"),
    pytest.param("+5", "5", 1, 1, id="plus-sign"),
    pytest.param("−5", "-5", 0, 1, id="minus-sign"),
    pytest.param("nan", "5", 0, 0, id="nan-is-no-number"),
    pytest.param("nan", "nan", 0, 1, id="nan-is-text"),
    pytest.param("inf", "inf", 0, 1, id="inf-is-text"),
    pytest.param("9" * 400, "9" * 400, 0, 1, id="a-number-too-large-is-text"),
    pytest.param("1_0", "10", 1, 0, id="underscore-is-no-number"),
    pytest.param("５％", "5", 0, 1, id="full-width"),
    pytest.param("–5", "-5", 0, 1, id="en-dash-as-minus"),
    pytest.param("1\u00a0000\u202f000", "1e6", 0, 1, id="spaces-as-thousands-separators"),
    pytest.param("1 00", "100", 0, 0, id="a-misplaced-space-is-text"),
    pytest.param("10²", "102", 0, 0, id="a-power-is-text"),
    pytest.param("10½", "10", 0, 0, id="a-fraction-is-text"),
    pytest.param("102", "10²", 0, 0, id="a-gold-power-is-text"),
    pytest.param("50%.", "50", 0, 1, id="a-final-full-stop"),
    pytest.param("oak.", "Oak", 0, 1, id="a-final-full-stop-of-text"),
    pytest.param("“oak”", '"oak"', 0, 1, id="text-is-compared-as-read"),
    pytest.param("12 kg", "12", 0, 0, id="a-unit-is-not-read"),
    pytest.param("$12", "12", 0, 0, id="a-currency-is-not-read"),
    pytest.param("1e3", "1000", 1, 1, id="exponent"),
    pytest.param("1E+3", "1000", 1, 1, id="exponent-with-its-sign"),
    pytest.param("25e-1", "2.5", 1, 1, id="negative-exponent"),
    pytest.param("1e003", "1000", 1, 0, id="exponent-of-three-digits-is-text"),
    pytest.param("e3", "0", 0, 0, id="an-exponent-alone-is-text"),
    pytest.param(".5", "0.50", 1, 1, id="nothing-before-the-point"),
    pytest.param("5.", "5", 1, 1, id="nothing-after-the-point"),
    pytest.param(".", ".", 1, 1, id="a-dot-is-text"),
    pytest.param("%", "%", 1, 1, id="a-lone-percent-sign-is-text"),
]


@pytest.mark.parametrize(("answer", "gold", "pix2struct", "strict"), CASES)
def test_relaxed_correctness(answer: str, gold: str, pix2struct: float, strict: float) -> None:
    assert (relaxed_pix2struct(answer, gold), relaxed_strict(answer, gold)) == (pix2struct, strict)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("94.99", 0), ("95", 1), ("95.01", 1), ("104.99", 1), ("105", 1), ("105.01", 0), ("-100", 0)],
)
@pytest.mark.parametrize("sign", ["", "-"], ids=["positive", "negative"])
def test_five_percent_is_near_on_either_side_and_a_hair_more_is_not(answer: str, right: float, sign: str) -> None:
    texts = f"{sign}{answer}".removeprefix("--"), f"{sign}100"
    assert (relaxed_pix2struct(*texts), relaxed_strict(*texts)) == (right, right)


STEPS = st.sampled_from([-20, -2, -1, 0, 1, 2, 20])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(-20_000, 20_000), st.sampled_from([-1, 1]), STEPS)
@example(1, 1, 1)
def test_the_strict_rule_is_its_definition_around_the_bound(twentieth: int, side: int, step: int) -> None:
    target = Fraction(20 * twentieth, 100)
    answer = target + Fraction(side * twentieth + step, 100)
    texts = f"{float(answer):.2f}", f"{float(target):.2f}"
    assert relaxed_strict(*texts) == (abs(answer - target) <= abs(target) / 20), texts


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 10**12), st.integers(0, 99), st.booleans(), st.sampled_from(["", "%", " %"]))
def test_a_number_is_the_same_however_it_is_written(whole: int, cents: int, negative: bool, percent: str) -> None:  # noqa: FBT001 - drawn
    plain = f"{'-' * negative}{whole}.{cents:02d}"
    written = f" {'−' * negative}{whole:,}.{cents:02d}00{percent}\n"
    assert relaxed_strict(written, plain) == relaxed_strict(plain, written) == 1
    assert relaxed_strict(written, f"{'-' * negative}{2 * whole}.{cents:02d}") == 0
    assert relaxed_strict(written, f"{'-' * (not negative)}{whole}.{cents:02d}") == 0
