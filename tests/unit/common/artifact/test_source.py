"""The source of a model: a folder, or a fake hub."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from services.common.artifact.manifest import PIX2STRUCT, ManifestError, PrepareError, Source, read_manifest
from services.common.artifact.source import Checkpoint, find
from tests.hub.stand_in import Asked, Client, raising

MODEL = Path(__file__).parents[4] / "models/tiny-matcha"
ANSWER: Any = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))
CONFIG = json.dumps({"model_type": "pix2struct"})
WANTED = ("*.json", "*.safetensors", "pytorch_model.bin")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model as published by others, with two files of weights."""
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG)
    (folder / "model-2.safetensors").write_bytes(b"second")
    (folder / "model-1.safetensors").write_bytes(b"first" * 500_000)  # read in more than one chunk
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Asked]:
    """What the hub is asked for."""
    client = Client(tmp_path)
    monkeypatch.setattr("services.common.artifact.hub.snapshot_download", client.snapshot_download)
    return client.asked


def test_a_folder_is_named_by_itself_and_its_weights(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"first" * 500_000 + b"second").hexdigest()
    expected = Checkpoint(plain, Source(id="plain", revision=f"sha256:{digest[:16]}"), None)
    assert find(str(plain), None, WANTED) == expected
    monkeypatch.chdir(plain)
    assert find(".", None, WANTED).source == expected.source


def test_other_weights_of_the_same_name_are_another_model(plain: Path) -> None:
    before = find(str(plain), None, WANTED).source
    (plain / "model-2.safetensors").write_bytes(b"Second")
    assert find(str(plain), None, WANTED).source != before


def test_a_folder_of_ours_is_named_by_its_manifest(tmp_path: Path) -> None:
    shutil.copy(MODEL / "manifest.json", tmp_path)
    assert find(str(tmp_path), None, WANTED) == Checkpoint(
        tmp_path, Source(id="tallyglass/tiny-matcha", revision="seed-0"), read_manifest(MODEL)
    )


def test_a_folder_has_no_revisions(plain: Path) -> None:
    with pytest.raises(PrepareError, match=r"no revision main: omit --revision"):
        find(str(plain), "main", WANTED)


@pytest.mark.parametrize("name", ["./a", "/a", "/a/b", "~/a", "a", "a/b/c", "", "."])
def test_what_is_neither_a_folder_nor_an_id_is_not_looked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[Asked]
) -> None:
    monkeypatch.chdir(tmp_path)
    if name in {"", "."}:  # the current folder, which contains no model
        with pytest.raises(ManifestError, match=r"has no config\.json"):
            find(name, None, WANTED).require(PIX2STRUCT)
    else:
        with pytest.raises(PrepareError, match="neither a folder nor a Hugging Face id"):
            find(name, None, WANTED)
    assert hub == []


@pytest.mark.parametrize("revision", [None, "refs/pr/4"])
def test_a_model_of_the_hub_is_named_by_its_commit(revision: str | None, hub: list[Asked], tmp_path: Path) -> None:
    found = find("google/matcha-chartqa", revision, WANTED)
    assert found.source == Source(id="google/matcha-chartqa", revision="c0ffee")
    assert (found.folder, found.manifest) == (tmp_path / "google/matcha-chartqa/c0ffee", None)
    assert hub == [
        ("google/matcha-chartqa", revision, ["*.json", "*.safetensors"]),
        ("google/matcha-chartqa", "c0ffee", ["pytorch_model.bin"]),  # since there is nothing safer
    ]


@pytest.mark.parametrize(("kind", "right"), [("pix2struct", True), ("donut", False)])
def test_weights_are_downloaded_once_the_architecture_is_right(
    *, kind: str, right: bool, hub: list[Asked], tmp_path: Path
) -> None:
    folder = tmp_path / "a/b/c0ffee"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    if right:
        find("a/b", "v9", WANTED, PIX2STRUCT)
    else:
        with pytest.raises(ManifestError, match="a/b is a donut model"):
            find("a/b", "v9", WANTED, PIX2STRUCT)
    weights = ("a/b", "c0ffee", ["*.json", "*.safetensors"])
    assert hub == [("a/b", "v9", ["config.json"]), *([weights] if right else [])]


def test_pickled_weights_are_not_downloaded_beside_safe_ones(hub: list[Asked], tmp_path: Path) -> None:
    folder = tmp_path / "google/matcha-base/c0ffee"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    find("google/matcha-base", None, WANTED)
    assert [patterns for _, _, patterns in hub] == [["*.json", "*.safetensors"]]


def test_a_snapshot_in_the_hubs_cache_is_named_by_its_repository_and_commit(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--google--matcha-base/snapshots/c0ffee"
    snapshot.mkdir(parents=True)
    assert find(str(snapshot), None, WANTED).source == Source(id="google/matcha-base", revision="c0ffee")
    shutil.move(snapshot, tmp_path / "copy")
    assert find(str(tmp_path / "copy"), None, WANTED).source.id == "copy"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RevisionNotFoundError("x", response=ANSWER), "a/b has no revision v9: see its branches"),
        (RepositoryNotFoundError("x", response=ANSWER), "model a/b does not exist on the hub"),
        (HFValidationError("x"), "model a/b does not exist on the hub"),
        (
            HfHubHTTPError("x", response=ANSWER),
            "a/b cannot be downloaded (HfHubHTTPError: x): run the same",
        ),
        (LocalEntryNotFoundError("x"), "a/b is not in the hub's cache and the hub cannot be reached"),
        (OfflineModeIsEnabled("x"), "a/b is not in the hub's cache and the hub cannot be reached"),
        (GatedRepoError("x", response=ANSWER), "a/b is gated: accept its terms on the hub"),
        (ConnectionResetError("x"), "a/b cannot be downloaded (ConnectionResetError: x): run the same command again"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_hub_says_is_told(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.common.artifact.hub.snapshot_download", raising(error))
    with pytest.raises(PrepareError) as refused:
        find("a/b", "v9", WANTED)
    assert str(refused.value).startswith(reason)


class TestWeights:
    def test_safetensors_come_before_pickles(self, plain: Path) -> None:
        (plain / "pytorch_model.bin").write_bytes(b"pickled")
        found = find(str(plain), None, WANTED)
        assert [path.name for path in found.weights] == ["model-1.safetensors", "model-2.safetensors"]
        assert found.weights_bytes == 2_500_006
        for path in found.weights:
            path.unlink()
        assert [path.name for path in found.weights] == ["pytorch_model.bin"]
        assert found.weights_bytes == 7

    def test_a_pix2struct_with_weights_is_taken(self, plain: Path) -> None:
        find(str(plain), None, WANTED).require(PIX2STRUCT)

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'), "plain is a t5 model"),
            (
                lambda folder: (folder / "model.safetensors.index.json").write_text(
                    '{"weight_map": {"a": "model-1.safetensors", "b": "model-3.safetensors"}}'
                ),
                "plain lacks model-3.safetensors, which model.safetensors.index.json lists",
            ),
            (
                lambda folder: [path.unlink() for path in folder.glob("*.safetensors")],
                "plain contains neither *.safetensors nor pytorch_model.bin",
            ),
        ],
        ids=[
            "another model",
            "a shard less",
            "no weights",
        ],
    )
    def test_other_folders_are_refused(self, spoil: Callable[[Path], object], reason: str, plain: Path) -> None:
        spoil(plain)
        with pytest.raises((PrepareError, ManifestError)) as refused:
            find(str(plain), None, WANTED).require(PIX2STRUCT)
        assert reason in str(refused.value)
