"""Which folder a service serves, given the name of a model."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.common.settings import ServerSettings
from services.common.startup import model_folder


class Preparing:
    """Stands in for the process that prepares: records its command, and makes the folder unless it fails."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.code = 0

    def run(self, command: list[str], *, check: bool) -> subprocess.CompletedProcess[bytes]:
        assert not check
        self.commands.append(command)
        if not self.code:
            out = Path(command[command.index("--out") + 1])
            out.mkdir(parents=True)
            (out / "manifest.json").touch()
        return subprocess.CompletedProcess(command, self.code)


@pytest.fixture
def preparing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Preparing:
    monkeypatch.setenv("TALLYGLASS_HOME", str(tmp_path / "home"))
    preparing = Preparing()
    monkeypatch.setattr("services.common.startup.subprocess.run", preparing.run)
    return preparing


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model folder without a manifest."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/config.json").write_text("{}")
    return tmp_path / "plain"


def served(model: Path | str, **options: Any) -> Path:
    return model_folder(ServerSettings(model=str(model), **options), "services.any", "int8")


def test_an_artifact_is_served_as_it_is(plain: Path, preparing: Preparing) -> None:
    (plain / "manifest.json").touch()
    assert served(plain) == plain
    assert preparing.commands == []


def test_a_hub_id_is_prepared_once_into_the_cache(preparing: Preparing, tmp_path: Path) -> None:
    folder = tmp_path / "home/some--model@v2/int8"
    assert served("some/model", revision="v2") == folder
    options = ["--variant", "int8", "--out", str(folder), "--revision", "v2"]
    assert preparing.commands == [[sys.executable, "-m", "services.any", "prepare", "some/model", *options]]
    assert served("some/model", revision="v2") == folder
    assert len(preparing.commands) == 1
    assert served("some/model") == tmp_path / "home/some--model/int8"
    assert "--revision" not in preparing.commands[1]


def test_a_plain_folder_is_prepared_or_served_as_it_is_if_that_is_allowed(plain: Path, preparing: Preparing) -> None:
    assert served(plain, allow_unverified=True) == plain
    assert preparing.commands == []
    assert served(plain).parent.name.startswith("plain-")
    assert preparing.commands[0][3:5] == ["prepare", str(plain)]


def test_a_folder_named_like_a_hub_id_is_the_folder(
    plain: Path, preparing: Preparing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plain.parent.parent)
    (plain / "manifest.json").touch()
    name = f"{plain.parent.name}/plain"
    assert served(name) == Path(name)
    assert preparing.commands == []


def test_a_missing_path_is_left_to_the_check_of_the_manifest(preparing: Preparing) -> None:
    assert served("/no/where") == Path("/no/where")
    assert preparing.commands == []


def test_a_model_that_cannot_be_prepared_ends_the_start(preparing: Preparing, tmp_path: Path) -> None:
    preparing.code = 1
    with pytest.raises(SystemExit, match="cannot serve: some/model was not prepared, for the reason above"):
        served("some/model")
    assert not (tmp_path / "home").exists()
