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
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from services.common.artifact.manifest import Source, read_manifest
from services.matcha.prepare import source
from services.matcha.prepare.source import Checkpoint, PrepareError, find, processor_files, training_font

MODEL = Path(__file__).parents[4] / "models/tiny-matcha"
ANSWER: Any = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))
CONFIG = json.dumps({"model_type": "pix2struct"})


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
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """Records requests to the hub; it has every repository at revision c0ffee, with a tokenizer."""
    asked: list[tuple[object, ...]] = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        folder = tmp_path / repository / "c0ffee"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").touch()
        return str(folder)

    monkeypatch.setattr(source, "snapshot_download", download)
    return asked


def raising(error: Exception) -> Callable[..., str]:
    def fail(*_: object, **__: object) -> str:
        raise error

    return fail


def test_a_folder_is_named_by_itself_and_its_weights(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"first" * 500_000 + b"second").hexdigest()
    expected = Checkpoint(plain, Source(id="plain", revision=f"sha256:{digest[:16]}"), None)
    assert find(str(plain), None) == expected
    monkeypatch.chdir(plain)
    assert find(".", None).source == expected.source


def test_other_weights_of_the_same_name_are_another_model(plain: Path) -> None:
    before = find(str(plain), None).source
    (plain / "model-2.safetensors").write_bytes(b"Second")
    assert find(str(plain), None).source != before


def test_a_folder_of_ours_is_named_by_its_manifest(tmp_path: Path) -> None:
    shutil.copy(MODEL / "manifest.json", tmp_path)
    assert find(str(tmp_path), None) == Checkpoint(
        tmp_path, Source(id="tallyglass/tiny-matcha", revision="seed-0"), read_manifest(MODEL)
    )


def test_a_folder_has_no_revisions(plain: Path) -> None:
    with pytest.raises(PrepareError, match=r"no revision main: omit --revision"):
        find(str(plain), "main")


@pytest.mark.parametrize("name", ["./a", "/a", "/a/b", "~/a", "a", "a/b/c", "", "."])
def test_what_is_neither_a_folder_nor_an_id_is_not_looked_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[tuple[object, ...]]
) -> None:
    monkeypatch.chdir(tmp_path)
    if name in {"", "."}:  # the current folder, which contains no model
        with pytest.raises(PrepareError, match=r"has no config\.json"):
            find(name, None).require_pix2struct()
    else:
        with pytest.raises(PrepareError, match="neither a folder nor a Hugging Face id"):
            find(name, None)
    assert hub == []


@pytest.mark.parametrize("revision", [None, "refs/pr/4"])
def test_a_model_of_the_hub_is_named_by_its_commit(
    revision: str | None, hub: list[tuple[object, ...]], tmp_path: Path
) -> None:
    found = find("google/matcha-chartqa", revision)
    assert found.source == Source(id="google/matcha-chartqa", revision="c0ffee")
    assert (found.folder, found.manifest) == (tmp_path / "google/matcha-chartqa/c0ffee", None)
    assert hub == [("google/matcha-chartqa", revision, ["*.json", "*.safetensors", "pytorch_model.bin"])]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RevisionNotFoundError("x", response=ANSWER), "a/b has no revision v9: see its branches"),
        (RepositoryNotFoundError("x", response=ANSWER), "model a/b does not exist on the hub"),
        (HFValidationError("x"), "model a/b does not exist on the hub"),
        (HfHubHTTPError("x", response=ANSWER), "a/b cannot be downloaded (HfHubHTTPError): download it elsewhere"),
        (LocalEntryNotFoundError("x"), "a/b cannot be downloaded (LocalEntryNotFoundError)"),
        (ConnectionResetError("x"), "a/b cannot be downloaded (ConnectionResetError)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_hub_says_is_told(error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "snapshot_download", raising(error))
    with pytest.raises(PrepareError) as refused:
        find("a/b", "v9")
    assert str(refused.value).startswith(reason)


class TestWeights:
    def test_safetensors_come_before_pickles(self, plain: Path) -> None:
        (plain / "pytorch_model.bin").write_bytes(b"pickled")
        found = find(str(plain), None)
        assert [path.name for path in found.weights] == ["model-1.safetensors", "model-2.safetensors"]
        assert found.weights_bytes == 2_500_006
        for path in found.weights:
            path.unlink()
        assert [path.name for path in found.weights] == ["pytorch_model.bin"]
        assert found.weights_bytes == 7

    def test_a_pix2struct_with_weights_is_taken(self, plain: Path) -> None:
        find(str(plain), None).require_pix2struct()

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
            (lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'), "plain is a t5 model"),
            (lambda folder: (folder / "config.json").write_text("{}"), "plain is a None model"),
            (
                lambda folder: [path.unlink() for path in folder.glob("*.safetensors")],
                "plain contains neither *.safetensors nor pytorch_model.bin",
            ),
        ],
        ids=["no config", "another model", "of no kind", "no weights"],
    )
    def test_other_folders_are_refused(self, spoil: Callable[[Path], object], reason: str, plain: Path) -> None:
        spoil(plain)
        with pytest.raises(PrepareError) as refused:
            find(str(plain), None).require_pix2struct()
        assert reason in str(refused.value)


class TestProcessor:
    def test_a_folders(self, plain: Path) -> None:
        (plain / "tokenizer.json").touch()
        assert processor_files(str(plain), None) == (plain, find(str(plain), None).source)

    def test_the_hubs_without_the_weights(self, hub: list[tuple[object, ...]], tmp_path: Path) -> None:
        given = processor_files("google/matcha-base", "v2")
        assert given == (tmp_path / "google/matcha-base/c0ffee", Source(id="google/matcha-base", revision="c0ffee"))
        names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"]
        assert hub == [("google/matcha-base", "v2", names)]

    def test_one_without_a_tokenizer_is_refused(self, plain: Path) -> None:
        with pytest.raises(PrepareError, match=r"plain has no tokenizer\.json either: name another model"):
            processor_files(str(plain), None)


class TestTrainingFont:
    def test_is_fetched_from_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "hf_hub_download", lambda repository, name: f"/cache/{repository}/{name}")
        assert training_font() == Path("/cache/ybelkada/fonts/Arial.TTF")

    @pytest.mark.parametrize(
        "error",
        [HfHubHTTPError("x", response=ANSWER), LocalEntryNotFoundError("x"), OSError("no network")],
        ids=lambda value: type(value).__name__,
    )
    def test_may_be_out_of_reach(self, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source, "hf_hub_download", raising(error))
        assert training_font() is None
