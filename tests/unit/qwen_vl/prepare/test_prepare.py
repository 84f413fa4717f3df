"""Artifacts of Qwen2-VL: what is linked, what is converted, and that either answers as the checkpoint does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import torch
from pydantic_settings import CliApp
from safetensors.torch import load_file

from services.common.artifact.manifest import read_manifest, verify
from services.qwen_vl.engine import VisionQA
from services.qwen_vl.prepare.command import Prepare
from services.qwen_vl.settings import Variant
from tests.unit.qwen_vl.conftest import FOLDER, asked, scene

ARCHITECTURE: Final = "Qwen2VLForConditionalGeneration"
LINKED = {"chat_template.jinja", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}
WEIGHTS = {"config.json", "generation_config.json", "model.safetensors"}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The embedded model as published by others: without a manifest."""
    ignored = shutil.ignore_patterns("manifest.json", "*.png", "eval.json", "README.md")
    return shutil.copytree(FOLDER, tmp_path / "plain", ignore=ignored)


def prepare(model: Path, out: Path, variant: Variant, *options: str) -> None:
    CliApp.run(Prepare, cli_args=[str(model), "--out", str(out), "--variant", variant, *options])


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir() if path.name != "manifest.json"}


def answers(folder: Path, variant: Variant) -> list[list[int]]:
    engine = VisionQA.load(folder, variant, "cpu", 1)
    return [engine.answer(asked(scene(count))).token_ids for count in (1, 3, 5)]


def test_weights_that_stay_as_they_are_exist_once(plain: Path, tmp_path: Path) -> None:
    prepare(plain, tmp_path / "out", "fp32")
    assert inodes(tmp_path / "out") == inodes(plain)
    assert set(inodes(plain)) == LINKED | WEIGHTS
    manifest = verify(tmp_path / "out", ARCHITECTURE)
    assert (manifest.variant, manifest.source.id, manifest.chat_template) == ("fp32", "plain", "chat_template.jinja")
    assert manifest.source.revision.startswith("sha256:")
    assert set(manifest.sha256) == LINKED | WEIGHTS


def test_where_links_do_not_reach_files_are_copied(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    prepare(plain, tmp_path / "out", "fp32")
    assert not set(inodes(tmp_path / "out").values()) & set(inodes(plain).values())
    verify(tmp_path / "out", ARCHITECTURE)


def test_other_weights_are_converted_and_the_rest_linked(plain: Path, tmp_path: Path) -> None:
    prepare(plain, tmp_path / "out", "bf16")
    shared = {name for name, inode in inodes(tmp_path / "out").items() if inode in inodes(plain).values()}
    assert shared == LINKED
    held, original = load_file(tmp_path / "out/model.safetensors"), load_file(plain / "model.safetensors")
    assert held.keys() == original.keys()
    assert all(torch.equal(held[name], original[name].to(torch.bfloat16)) for name in held)


def test_16_bit_weights_serve_fp32_as_they_are(plain: Path, tmp_path: Path) -> None:
    prepare(plain, tmp_path / "half", "bf16")
    prepare(tmp_path / "half", tmp_path / "out", "fp32")
    assert inodes(tmp_path / "out")["model.safetensors"] == inodes(tmp_path / "half")["model.safetensors"]
    assert read_manifest(tmp_path / "out").source == read_manifest(tmp_path / "half").source


@pytest.mark.parametrize("variant", ["int8", "nf4"])
def test_quantized_once_answers_as_quantized_at_every_start(variant: Variant, plain: Path, tmp_path: Path) -> None:
    prepare(plain, tmp_path / "out", variant)
    assert "quantization_config" in json.loads((tmp_path / "out/config.json").read_text())
    assert (tmp_path / "out/model.safetensors").stat().st_size < (plain / "model.safetensors").stat().st_size / 2
    assert answers(tmp_path / "out", variant) == answers(plain, variant)


def test_the_same_again_is_nothing_to_do(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(plain, tmp_path / "out", "fp32")
    made = (tmp_path / "out").stat().st_ino
    prepare(plain, tmp_path / "out", "fp32")
    assert "out is already prepared: nothing to do" in capsys.readouterr().err
    assert (tmp_path / "out").stat().st_ino == made
    prepare(plain, tmp_path / "out", "fp32", "--force")
    assert (tmp_path / "out").stat().st_ino != made


def test_an_artifact_in_the_form_asked_for_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGLASS_HOME", str(tmp_path / "home"))
    CliApp.run(Prepare, cli_args=[str(FOLDER), "--variant", "fp32"])
    assert "is already an artifact in fp32: nothing to do" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
    prepare(FOLDER, tmp_path / "out", "fp32")  # a folder is named: it is made
    assert verify(tmp_path / "out", ARCHITECTURE).source == read_manifest(FOLDER).source


def _configured(folder: Path) -> None:
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": 3}))


def _retrained(folder: Path) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)


@pytest.mark.parametrize("change", [_configured, _retrained])
def test_a_changed_model_never_counts_as_prepared(change: Callable[[Path], None], plain: Path, tmp_path: Path) -> None:
    prepare(plain, tmp_path / "out", "bf16")  # a copy, which the change does not reach
    change(plain)
    with pytest.raises(SystemExit, match="name another folder, or pass --force"):
        prepare(plain, tmp_path / "out", "bf16")


@pytest.mark.parametrize(
    ("model", "variant", "reason"),
    [
        ("int8", "bf16", "already prepared as int8: prepare from the original weights"),
        ("without a template", "bf16", "has no chat template: add chat_template.jinja"),
        ("altered", "bf16", "does not match its checksum"),
    ],
)
def test_what_cannot_be_prepared_is_refused_and_nothing_left(
    model: str, variant: Variant, reason: str, plain: Path, tmp_path: Path
) -> None:
    source = plain
    if model == "int8":
        source = tmp_path / "int8"
        prepare(plain, source, "int8")
    elif model == "altered":
        source = shutil.copytree(FOLDER, tmp_path / "altered")
        _configured(source)
    else:
        (plain / "chat_template.jinja").unlink()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SystemExit, match=reason):
        prepare(source, tmp_path / "out", variant)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
