from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from services.common.artifact.manifest import verify
from services.training.tiny_qwen_vl.learning.settings import ANSWERING, SEEING, Phase, Settings
from services.training.tiny_qwen_vl.learning.trainer import Trainer
from services.training.tiny_qwen_vl.model.answering import Model, answer
from services.training.tiny_qwen_vl.train import train

FOLDER = Path(__file__).parents[4] / "models/tiny-qwen2-vl"
SHORT = Settings(
    seeing=replace(SEEING, steps=2, images=2), answering=replace(ANSWERING, steps=2, images=2, questions=2)
)


def test_images_get_fuller_along_the_curriculum() -> None:
    phase = Phase(10, 1, 1, 1.0, ((0.1, 2), (0.5, 4)))
    assert [phase.max_items(progress) for progress in (0.0, 0.1, 0.49, 0.5, 1.0)] == [2, 4, 4, 7, 7]


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        trainer = Trainer(replace(SHORT, seed=seed))
        assert [step.number for step in trainer.run()] == [1, 2, 3, 4]
        state: dict[str, torch.Tensor] = trainer.model.network.state_dict()
        return state

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_the_command_leaves_a_whole_folder_in_place_of_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "stale").touch()
    train(out, seed=5, settings=SHORT, cases_per_cell=1)
    assert verify(out, "Qwen2VLForConditionalGeneration").source.revision == "seed-5"
    assert {path.name for path in out.iterdir()} == {path.name for path in FOLDER.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert len(answer(Model.load(out), [Image.new("RGB", (64, 200))], ["How many?"])) == 1
