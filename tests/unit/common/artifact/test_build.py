"""What building an artifact takes, whatever the model."""

from pathlib import Path

import pytest

from services.common.artifact.build import staged
from services.common.artifact.manifest import PrepareError


def test_a_folder_that_cannot_be_created_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PrepareError, match=r"file/in cannot be created \(.*\): name another folder \(--out, or"),
        staged(tmp_path / "file/in/out", 0),
    ):
        pytest.fail("it was created")


def test_an_error_of_what_builds_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), staged(tmp_path / "out", 0):
        raise ValueError("broken")  # noqa: EM101 as a library would
    assert list(tmp_path.iterdir()) == []
