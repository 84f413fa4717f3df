"""Folders that do not load: one sentence each, which names what is wrong and what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from services.common.artifact.manifest import ManifestError
from services.qwen_vl.engine import VisionQA

TINY = Path(__file__).parents[3] / "models/tiny-qwen2-vl"
NORM = "model.language_model.norm.weight"


def with_norm(tensor: torch.Tensor | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name in tensors if name.endswith("model.norm.weight"))
        del tensors[name]
        if tensor is not None:
            tensors[name] = tensor
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return change


def written(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (written("model.safetensors", "these are no weights"), "the model in {} cannot be read (Error while deser"),
        (with_norm(None), "the weights in {} lack 1 tensors of the model, such as " + NORM),
        (with_norm(torch.zeros(3)), "the weights in {} have 1 tensors of another shape than config.json says, such as"),
        (written("tokenizer.json", "{}"), "the tokenizer in {} cannot be read ("),
        (written("config.json", '{"model'), "config.json in {} cannot be read (Unterminated string"),
        (written("chat_template.jinja", "{% if"), "the chat template in {} cannot be read (unexpected 'end of templ"),
        (written("preprocessor_config.json", "["), "the image processor in {} cannot be read ("),
    ],
)
def test_what_is_damaged_is_named(
    damage: Callable[[Path], None], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(TINY, tmp_path / "model")
    damage(folder)
    with pytest.raises(ManifestError) as told:
        VisionQA.load(folder, "fp32", "cpu", 1)
    assert str(told.value).startswith(said.format(folder))
    assert capfd.readouterr().err == ""  # transformers would print a table of its own
