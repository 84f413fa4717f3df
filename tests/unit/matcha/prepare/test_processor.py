"""What a checkpoint may lack: another model's tokenizer, and the font of the header."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from services.common.artifact.manifest import PrepareError, Source
from services.common.artifact.source import find
from services.matcha.prepare import processor
from services.matcha.prepare.processor import TOKENIZER_FILES, processor_files, training_font
from tests.hub.stand_in import Asked, Client, raising

ANSWER: Any = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model without a tokenizer."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/model.safetensors").write_bytes(b"weights")
    return tmp_path / "plain"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Asked]:
    """What the hub is asked for."""
    client = Client(tmp_path)
    monkeypatch.setattr("services.common.artifact.hub.snapshot_download", client.snapshot_download)
    return client.asked


class TestProcessor:
    def test_a_folders(self, plain: Path) -> None:
        (plain / "tokenizer.json").touch()
        assert processor_files(str(plain), None) == (plain, find(str(plain), None, TOKENIZER_FILES).source)

    def test_the_hubs_without_the_weights(self, hub: list[Asked], tmp_path: Path) -> None:
        given = processor_files("google/matcha-base", "v2")
        assert given == (tmp_path / "google/matcha-base/c0ffee", Source(id="google/matcha-base", revision="c0ffee"))
        names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
        names += ["preprocessor_config.json", "processor_config.json"]
        assert hub == [("google/matcha-base", "v2", names)]

    def test_one_without_a_tokenizer_is_refused(self, plain: Path) -> None:
        with pytest.raises(PrepareError, match=r"plain has no tokenizer\.json either: name another model"):
            processor_files(str(plain), None)


class TestTrainingFont:
    def test_is_fetched_from_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processor, "hf_hub_download", lambda repository, name: f"/cache/{repository}/{name}")
        assert training_font() == Path("/cache/ybelkada/fonts/Arial.TTF")

    @pytest.mark.parametrize(
        "error",
        [HfHubHTTPError("x", response=ANSWER), LocalEntryNotFoundError("x"), OSError("no network")],
        ids=lambda value: type(value).__name__,
    )
    def test_may_be_out_of_reach(self, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processor, "hf_hub_download", raising(error))
        assert training_font() is None
