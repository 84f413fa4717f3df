import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageFont

from services.matcha.types import ChartQuestion

if TYPE_CHECKING:
    from tests.unit.matcha.making import Weights

MODEL = Path(__file__).parents[3] / "models/tiny-matcha"
SAMPLE = Path(__file__).parents[3] / "clients/samples/realcqa"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")


@pytest.fixture
def basic_text_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make transformers, the oracle, render text without libfribidi, which is how headers are always rendered."""
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)


@pytest.fixture(scope="session")
def bundled_questions() -> list[tuple[ChartQuestion, str]]:
    """Questions about the bundled charts, one per chart, with gold answers; patch counts differ."""
    pairs = []
    for number, path in enumerate(sorted((SAMPLE / "qa").glob("*.json"))[:24]):
        blocks = json.loads(path.read_bytes())
        block = blocks[number % len(blocks)]
        chart = (SAMPLE / "images" / f"{path.stem}.jpg").read_bytes()
        gold = ", ".join(block["answer"]) if isinstance(block["answer"], list) else str(block["answer"])
        pairs.append((ChartQuestion(chart, block["question"], 16, (90, 60, 75)[number % 3]), gold))
    return pairs


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> "Weights":
    """Fake weights for every model that is prepared; no hub, and no system font."""
    from services.matcha.prepare import build, weights  # noqa: PLC0415 torch takes seconds to import
    from tests.unit.matcha.making import Weights  # noqa: PLC0415 as above

    stand_in = Weights()
    monkeypatch.setattr(weights, "load_model", stand_in.load)
    monkeypatch.setattr(weights, "graphs", lambda _: ["a.onnx", "b.onnx"])
    monkeypatch.setattr(weights, "export", stand_in.export)
    for quantizer in ("quantize_onnx", "quantize_openvino"):  # which take seconds to import
        monkeypatch.setitem(
            sys.modules, f"services.matcha.prepare.{quantizer}", SimpleNamespace(quantize=stand_in.quantize)
        )
    monkeypatch.setattr(build, "training_font", lambda: None)
    monkeypatch.setattr(build, "_LIBERATION", Path("/nowhere"))
    return stand_in


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model as published by others, with its own processor; its weights are meaningless, and in no form of ours."""
    from tests.unit.matcha.making import write_weights  # noqa: PLC0415 as above

    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("config.json", "generation_config.json", *TOKENIZER):
        shutil.copy(MODEL / name, folder)
    write_weights(folder / "model.safetensors", "float16")
    return folder


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """Images to calibrate on."""
    folder = tmp_path / "charts"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (60, 40), (number, 0, 0)).save(folder / f"{number}.png")
    return folder
