"""Folders that do not load: one sentence each, which names what is wrong and what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import openvino as ov
import pytest
import torch
from safetensors.torch import load_file, save_file

from services.common.artifact.manifest import ManifestError
from services.matcha.backends import Hardware
from services.matcha.backends.onnx_backend import OnnxGraph
from services.matcha.backends.openvino_backend import read
from services.matcha.engine import ChartQA
from tests.conftest import TINY_MATCHA

NORM = "decoder.final_layer_norm.weight"


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def with_norm(tensor: torch.Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[NORM]
        if tensor is not None:
            tensors[NORM] = tensor
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return change


def written(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "the model in {} cannot be read (Error while deserializing header: incomplete metadata"),
        (with_norm(None), f"the weights in {{}} lack 1 tensors of the model, such as {NORM}: download or prepare"),
        (
            with_norm(torch.zeros(3)),
            f"the weights in {{}} have 1 tensors of another shape than config.json says, such as {NORM}",
        ),
        (written("tokenizer.json", "{}"), "tokenizer.json in {} cannot be read (Model mis"),
        (written("config.json", '{"model'), "config.json in {} cannot be read (Unterminat"),
        (written("header.ttf", "no font"), "the header font in {} cannot be read (unknown fil"),
    ],
)
def test_what_is_damaged_is_named(
    damage: Callable[[Path], None], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(TINY_MATCHA, tmp_path / "model")
    damage(folder)
    with pytest.raises(ManifestError) as told:
        ChartQA.load(folder, "header.ttf" if (folder / "header.ttf").exists() else None, "fp32", Hardware(1))
    assert str(told.value).startswith(said.format(folder))
    assert capfd.readouterr().err == ""  # transformers would print a table of its own


@pytest.mark.parametrize(
    "load", [lambda path: OnnxGraph(path, 1), lambda path: read(ov.Core(), path)], ids=["onnx", "openvino"]
)
def test_a_graph_that_is_none_is_named(load: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "encoder_model.onnx").write_bytes(b"no graph")
    with pytest.raises(ManifestError, match=rf"^encoder_model.onnx in {tmp_path} cannot be read \(.*\): download"):
        load(tmp_path / "encoder_model.onnx")
