"""A variant compared with fp32: worked by hand on five or forty questions."""

import numpy as np
import pytest
from rich.table import Table
from scipy.stats import norm

from benchmarks.matcha.parity import Measured, add
from benchmarks.matcha.roofline import encoder_flops, roofline_measurements
from benchmarks.measurements import Measurement
from services.matcha.variants import VARIANTS, VariantName


def _measured(right: list[int], answers: str) -> Measured:
    return Measured(np.array(right, dtype=bool), list(answers), [1.0, 2.0, 40.0, 3.0, 4.0], 12.5, 300.0, 1.75)


FP32 = _measured([1, 1, 0, 0, 1], "abcde")


def _told(
    variant: VariantName, measured: Measured, reference: Measured = FP32
) -> tuple[list[str], dict[str, Measurement]]:
    table = Table()
    for _ in range(9):
        table.add_column()
    results = add(table, variant, measured, reference)
    return [str(next(iter(column.cells))) for column in table.columns], {
        measurement.figure.partition(": ")[2]: measurement for measurement in results
    }


def test_a_row_tells_what_was_measured() -> None:
    """Four answers of five are equal; two are right where fp32 has three."""
    row, results = _told("onnx-int8", _measured([1, 0, 0, 0, 1], "abxde"))
    assert row[:3] == ["onnx-int8", "80.0 %", "40.0 %"]
    assert row[3].startswith("-20.00 [")
    assert row[4:] == ["12.5 MiB", "300 MiB", "1.8 s", "3.0 ms", "32.8 ms"]
    assert {name: (measurement.value, measurement.unit) for name, measurement in results.items()} == {
        "answers equal to fp32's": (80, "%"),
        "exact match less fp32's": (pytest.approx(-20), "points"),
        "latency": (3, "ms"),
        "size on disk": (12.5, "MiB"),
        "peak resident memory of the worker": (300, "MiB"),
        "time to ready": (1.75, "s"),
    }
    assert {measurement.n for name, measurement in results.items() if "fp32" in name} == {5}


def test_the_interval_of_the_difference_is_paired() -> None:
    """Of 40 questions three are lost and one is won; questions that both have right or wrong are uninformative."""
    reference = _measured([1] * 20 + [0] * 20, "a" * 40)
    measured = _measured([0] * 3 + [1] * 17 + [1] + [0] * 19, "a" * 40)
    measurement = _told("int8", measured, reference)[1]["exact match less fp32's"]
    each = 100 * np.array([-1.0] * 3 + [1.0] + [0.0] * 36)
    reach = norm.ppf(0.975) * each.std() / 40**0.5
    assert measurement.value == pytest.approx(-5)
    assert (measurement.low, measurement.high) == pytest.approx((-5 - reach, -5 + reach), abs=1.5)


def test_where_nothing_differs_the_interval_is_a_point() -> None:
    measurement = _told("bf16", FP32)[1]["exact match less fp32's"]
    assert (measurement.value, measurement.low, measurement.high) == (0, 0, 0)


@pytest.mark.parametrize(("lost", "holds"), [(2, True), (3, True), (4, False)])
def test_ninety_seven_of_a_hundred_equal_answers_are_enough(lost: int, *, holds: bool) -> None:
    reference, measured = _measured([1] * 100, "a" * 100), _measured([1] * 100, "x" * lost + "a" * (100 - lost))
    measurement = _told("onnx-int8", measured, reference)[1]["answers equal to fp32's"]
    assert (measurement.bar, measurement.holds) == (97, holds)


@pytest.mark.parametrize(("right", "holds"), [(48, False), (49, True), (51, True), (52, False)])
def test_a_point_of_exact_match_may_differ_either_way(right: int, *, holds: bool) -> None:
    reference, measured = (
        _measured([1] * 50 + [0] * 50, "a" * 100),
        _measured([1] * right + [0] * (100 - right), "a" * 100),
    )
    assert _told("openvino", measured, reference)[1]["exact match less fp32's"].holds is holds


def test_only_the_variants_without_torch_that_round_are_held_to_a_bar() -> None:
    held = [variant for variant in VARIANTS if _told(variant, FP32)[1]["answers equal to fp32's"].bar is not None]
    assert held == ["onnx-int8", "openvino", "openvino-int8"]


def test_the_encoders_work_is_that_of_its_products() -> None:
    """Twelve layers of width 768 with a gated feed-forward of 2048; two operations per multiply-add."""
    patches, width, inner, layers = 300, 768, 2048, 12
    products = {
        "linear": [(patches, width, width)] * 4 + [(patches, width, inner)] * 2 + [(patches, inner, width)],
        "attention": [(patches, width, patches), (patches, patches, width)],  # over all heads together
    }
    expected = [layers * sum(2 * a * b * c for a, b, c in products[part]) for part in ("linear", "attention")]
    assert list(encoder_flops(patches)) == expected


def test_a_share_of_the_roofline_takes_each_part_at_the_rate_of_its_format() -> None:
    """Rates of 1, 2 and 4: the linear layers of int8 run at 4 in all of its variants, its attention at 2 in torch's."""
    linear, attention = encoder_flops(64)
    rates, seconds = {"fp32": 1e9, "bf16": 2e9, "int8": 4e9}, dict.fromkeys(map(str, VARIANTS), 10.0) | {"bf16": 5.0}
    results = {measurement.figure: measurement for measurement in roofline_measurements(rates, seconds, 64)}
    assert [results[f"matrix product in {name}"].value for name in rates] == pytest.approx([1, 2, 4])
    limits_s = {
        "fp32": (linear + attention) / 1e9,
        "bf16": (linear + attention) / 2e9,
        "int8": linear / 4e9 + attention / 2e9,
        "onnx-fp32": (linear + attention) / 1e9,
        "onnx-int8": (linear + attention) / 4e9,
        "openvino": (linear + attention) / 2e9,
        "openvino-int8": (linear + attention) / 4e9,
    }
    for variant, limit_s in limits_s.items():
        (share,) = [each for name, each in results.items() if name.startswith(f"{variant}: share of its roofline")]
        assert share.value == pytest.approx(100 * limit_s / seconds[variant])
        assert "at 64 patches" in share.figure
