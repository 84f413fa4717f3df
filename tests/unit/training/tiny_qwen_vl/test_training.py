from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from services.common.artifact.manifest import verify
from services.training.tiny_qwen_vl.data.forms import IMAGE_FIRST
from services.training.tiny_qwen_vl.learning.settings import ANSWERING, SEEING, Phase, Settings
from services.training.tiny_qwen_vl.learning.trainer import Trainer
from services.training.tiny_qwen_vl.model.answering import Model, answer
from services.training.tiny_qwen_vl.model.saving import save_model
from services.training.tiny_qwen_vl.train import train

FOLDER = Path(__file__).parents[4] / "models/tiny-qwen2-vl"
SHORT = Settings(
    seeing=replace(SEEING, steps=1, images=2), answering=replace(ANSWERING, steps=2, images=2, questions=2)
)


def test_images_get_fuller_along_the_curriculum() -> None:
    phase = Phase(10, 1, 1, 1.0, ((0.1, 2), (0.5, 4)))
    assert [phase.max_items(progress) for progress in (0.0, 0.1, 0.49, 0.5, 1.0)] == [2, 4, 4, 7, 7]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training command leaves, with seed 5, where a folder was before."""
    out = tmp_path_factory.mktemp("trained") / "model"
    out.mkdir()
    (out / "stale").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.training.tiny_qwen_vl.train._CHECKPOINT_PER_CELL", 1)
        train(out, seed=5, settings=SHORT, cases_per_cell=1)
    return out


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = trainer.model.network.state_dict()
    return state


def test_the_same_seed_gives_the_same_weights(trained: Path, tmp_path: Path) -> None:
    trainer = Trainer(replace(SHORT, seed=5))
    assert [step.number for step in trainer.run()] == [1, 2, 3]
    save_model(trainer.model, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_another_seed_gives_other_weights_and_other_images() -> None:
    """Before the first step, and so after it."""
    one, other = (Trainer(replace(SHORT, seed=seed)) for seed in (1, 2))
    assert not all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())
    drawn = [trainer._batch(SHORT.answering, 1.0).pixels for trainer in (one, other)]  # noqa: SLF001 nothing else shows it
    assert not torch.equal(*drawn)


def test_the_command_leaves_a_whole_folder_in_place_of_the_old_one(trained: Path) -> None:
    assert verify(trained, "Qwen2VLForConditionalGeneration").source.revision == "seed-5"
    assert {path.name for path in trained.iterdir()} == {path.name for path in FOLDER.iterdir()}
    assert [path.name for path in trained.parent.iterdir()] == ["model"]
    assert len(answer(Model.load(trained), [Image.new("RGB", (64, 200))], [IMAGE_FIRST.messages("How many?")])) == 1
