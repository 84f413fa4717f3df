import json
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from services.matcha.engine import ChartQuestion

SAMPLE = Path(__file__).parents[3] / "clients/samples/realcqa"


@pytest.fixture
def basic_text_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transformers, the oracle, draw as on a machine without libfribidi, which is how headers are always drawn."""
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)


@pytest.fixture(scope="session")
def bundled_questions() -> list[tuple[ChartQuestion, str]]:
    """Questions about the bundled charts, one a chart, with their gold answers; patch counts differ."""
    pairs = []
    for number, path in enumerate(sorted((SAMPLE / "qa").glob("*.json"))[:24]):
        blocks = json.loads(path.read_bytes())
        block = blocks[number % len(blocks)]
        with Image.open(SAMPLE / "images" / f"{path.stem}.jpg") as picture:
            chart = picture.convert("RGB")
        gold = ", ".join(block["answer"]) if isinstance(block["answer"], list) else str(block["answer"])
        pairs.append((ChartQuestion(chart, block["question"], (90, 60, 75)[number % 3], max_new_tokens=16), gold))
    return pairs
