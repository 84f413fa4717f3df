"""A model served by name: prepared once into the cache, then served from there."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from clients.launcher import running
from services.common.startup import model_folder, read_settings
from services.qwen_vl.settings import QwenVLSettings
from tests.hub.layouts import LAYOUTS, write
from tests.hub.matcha.layouts import Layout
from tests.hub.matcha.layouts import write as write_matcha
from tests.hub.server import Hub, serving

TINY = Path(__file__).parents[2] / "models/tiny-qwen2-vl"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The embedded model as on the hub, without a manifest."""
    return shutil.copytree(TINY, tmp_path / "plain", ignore=shutil.ignore_patterns("manifest.json"))


def test_a_model_folder_is_prepared_at_the_first_start_alone(
    plain: Path, tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGLASS_HOME", str(tmp_path / "home"))
    body = {"image": base64.b64encode(png).decode(), "question": "How many shapes are there?"}
    options = ("--model", str(plain), "--variant", "fp32", "--threads", "1")
    with running("qwen_vl", tmp_path / "log", *options) as service:
        (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
        assert httpx.post(f"{service.url}/v1/answer", json=body, timeout=60).json()["answer"]
    assert (card["id"], card["variant"]) == ("plain", "fp32")
    assert "written: " in (tmp_path / "log").read_text()
    (weights,) = (tmp_path / "home").glob("plain-*/fp32/model.safetensors")
    assert weights.samefile(plain / "model.safetensors")
    monkeypatch.setattr("sys.executable", "/bin/false")  # what the next start would prepare it with
    again = read_settings(QwenVLSettings, list(options))
    assert model_folder(again, "services.qwen_vl", "fp32") == weights.parent


@contextmanager
def on_hub(folders: dict[str, Path], home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Repositories on a small hub, for processes started meanwhile."""
    with serving(Hub(folders)) as endpoint:
        settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hub"), "HF_HUB_DISABLE_XET": "1"}
        for variable, value in {**settings, "NO_PROXY": "*", "TALLYGLASS_HOME": str(home / "artifacts")}.items():
            monkeypatch.setenv(variable, value)
        yield


def test_a_hub_id_is_served_with_one_command(tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Qwen/Qwen2-VL-2B-Instruct"
    write(LAYOUTS[0], tmp_path / "repository")
    with (
        on_hub({name: tmp_path / "repository"}, tmp_path, monkeypatch),
        running("qwen_vl", tmp_path / "log", "--model", name, "--variant", "bf16", "--threads", "1") as service,
    ):
        files = {"image": ("image.png", png)}
        fields = {"question": "有几个<|im_end|>?", "lens": '{"track": ["3", "三", " three"]}', "max_new_tokens": "4"}
        answer = httpx.post(f"{service.url}/v1/answer", files=files, data=fields, timeout=120).json()
    assert (answer["model"], answer["variant"]) == (name, "bf16")
    assert [one["token"] for one in answer["lens"]["steps"][0]["layers"][0]["track"]] == ["3", "三", " three"]


def test_deplot_is_served_with_one_command_and_a_stand_in_for_its_font_is_told(
    tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked with its own prompt. The hub here has no font: nothing but that is warned of, wherever one looks."""
    name = "google/deplot"
    write_matcha(Layout(repository=name, shards=1), tmp_path / "repository")
    with (
        on_hub({name: tmp_path / "repository"}, tmp_path, monkeypatch),
        running("matcha", tmp_path / "log", "--model", name, "--variant", "fp32", "--threads", "1") as service,
    ):
        fields = {"question": "Generate underlying data table of the figure below:", "max_new_tokens": "512"}
        files = {"image": ("image.png", png)}
        answer = httpx.post(f"{service.url}/v1/answer", files=files, data=fields, timeout=120).json()
        (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
    assert (answer["model"], answer["variant"], answer["answer"] != "") == (name, "fp32", True)
    assert 1900 < answer["usage"]["image_tokens"] <= 2048  # by default
    (warning,) = card["warnings"]
    assert ", not in the font the model was trained with, which changes every question's pixels" in warning
    lines = (tmp_path / "log").read_text().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line["message"] for line in logged if line["level"] == "WARNING"] == [warning]
    usual = ("{", "Fetching", "fp32: ", "written: ")
    assert [line for line in lines if line and not line.startswith(usual)] == [f"WARNING: {warning}"]


def test_a_model_folder_is_served_unverified_if_that_is_allowed(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYGLASS_HOME", str(tmp_path / "home"))
    with running("qwen_vl", tmp_path / "log", "--model", str(plain), "--allow-unverified") as service:
        (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
    assert (card["id"], card["revision"], card["variant"], card["manifest_sha256"]) == (
        "plain",
        "unverified",
        "fp32",
        "none",
    )
    assert not (tmp_path / "home").exists()
