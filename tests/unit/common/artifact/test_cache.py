"""Where prepared models are kept."""

import os
from pathlib import Path

import pytest

from services.common.artifact.cache import artifact_folder, home, is_hub_id


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALLYGLASS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_bytes(b"{}")
    return folder


def test_home_is_the_setting_then_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYGLASS_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert home() == Path("/data")
    monkeypatch.setenv("TALLYGLASS_HOME", "")
    assert home() == Path("/cache/tallyglass")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert home() == Path("/home/someone/.cache/tallyglass")


@pytest.mark.parametrize("name", ["google/matcha-chartqa", "a/b"])
def test_a_hub_id_has_an_owner_and_a_name(name: str) -> None:
    assert is_hub_id(name)


@pytest.mark.parametrize("name", ["", "a", "./a", "/a", "~/a", "../a", "a/b/c", "/a/b"])
def test_a_path_is_no_hub_id(name: str) -> None:
    assert not is_hub_id(name)


def test_a_model_of_the_hub_is_kept_by_id_revision_and_variant(cache: Path) -> None:
    assert artifact_folder("google/matcha-base", None, "bf16") == cache / "google--matcha-base/bf16"
    assert artifact_folder("google/matcha-base", "refs/pr/4", "fp32") == cache / "google--matcha-base@refs-pr-4/fp32"


def test_a_folder_is_kept_by_where_it_is(cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = artifact_folder(str(folder), None, "bf16")
    assert (kept.parent.parent, kept.name, kept.parent.name.split("-")[0]) == (cache, "bf16", "mine")
    monkeypatch.chdir(folder.parent)
    assert artifact_folder("mine", None, "bf16") == kept
    folder.rename(folder.with_name("moved"))
    assert artifact_folder("moved", None, "bf16").parent.name.split("-")[1] != kept.parent.name.split("-")[1]


@pytest.mark.parametrize("change", ["another size", "another time", "one more", "one less"])
def test_a_changed_folder_is_another_model(change: str, cache: Path, folder: Path) -> None:
    kept = artifact_folder(str(folder), None, "bf16")
    assert kept.is_relative_to(cache)
    weights = folder / "model.safetensors"
    if change == "another size":
        time_ns = weights.stat().st_mtime_ns
        weights.write_bytes(b"weight")
        os.utime(weights, ns=(time_ns, time_ns))
    elif change == "another time":
        os.utime(weights, (1, 1))
    elif change == "one more":
        (folder / "tokenizer.json").touch()
    else:
        weights.unlink()
    assert artifact_folder(str(folder), None, "bf16") != kept
