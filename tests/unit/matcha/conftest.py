import pytest
from PIL import ImageFont


@pytest.fixture
def basic_text_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transformers, the oracle, draw as on a machine without libfribidi, which is how headers are always drawn."""
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
