"""A model that does not load: what the worker tells the main process, and what it logs."""

import logging

import pytest

from services.common.artifact.manifest import ManifestError
from services.common.artifact.reading import LoadError
from services.common.worker.loading import Loading


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ManifestError("the weights lack a tensor"), "the weights lack a tensor"),
        (LoadError("memory ran out"), "memory ran out"),
        (
            ModuleNotFoundError("No module named 'openvino.runtime'", name="openvino.runtime"),
            "the package openvino.runtime is not installed: install the extra of the variant, or serve another variant",
        ),
    ],
)
def test_why_it_does_not_load_reaches_the_main_process(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    loading = Loading()
    assert loading.failure() is None
    with caplog.at_level("DEBUG"), pytest.raises(SystemExit) as ended, loading.explained():
        raise error
    assert ended.value.code == 1
    assert loading.failure() == told
    assert [(record.levelno, record.exc_info is not None) for record in caplog.records] == [(logging.DEBUG, True)]


@pytest.mark.parametrize("error", [ZeroDivisionError(), ModuleNotFoundError("no", name="services.matcha.nothing")])
def test_a_defect_stays_one(error: Exception) -> None:
    loading = Loading()
    with pytest.raises(type(error)), loading.explained():
        raise error
    assert loading.failure() is None
