"""The measurements derived from the times of MatCha's variants."""

from pathlib import Path

import pytest

from benchmarks.matcha.speed import OPTIMUM, STUDY, speed_measurements
from benchmarks.matcha.subjects.process import Subject
from services.matcha.variants import VARIANTS


@pytest.mark.parametrize("fastest", ["onnx-int8", "openvino-int8"])
def test_no_bar_hides_another_whichever_variant_is_the_fastest(fastest: str) -> None:
    """Measurements of one name replace each other: if ``onnx-int8`` were fastest, its bar of 10 would hide the 12."""
    seconds = {STUDY: 11.0, OPTIMUM: 5.0} | dict.fromkeys(VARIANTS, 2.0) | {fastest: 1.0}
    found = [
        Subject(name, [], Path(), seconds=[spent] * 3, preprocess_ms=[10.0] * 3) for name, spent in seconds.items()
    ]
    measurements = speed_measurements(found, 2048)
    assert len({measurement.figure for measurement in measurements}) == len(measurements)
    held = {
        measurement.bar: measurement for measurement in measurements if STUDY in measurement.figure and measurement.bar
    }
    assert held[12].value == pytest.approx(11)
    assert held[12].holds is False
    assert held[10].holds is (fastest == "onnx-int8")
