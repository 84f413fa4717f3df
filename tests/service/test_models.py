"""A model served by name: prepared once into the cache, then served from there."""

import base64
import json
import shutil
from pathlib import Path

import httpx
import pytest

from clients.launcher import running
from tests.hub.layouts import LAYOUTS, write
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
    answers, logs = [], []
    for log in (tmp_path / "first", tmp_path / "second"):
        with running("qwen_vl", log, "--model", str(plain), "--variant", "fp32", "--threads", "1") as service:
            (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
            answers.append(httpx.post(f"{service.url}/v1/answer", json=body, timeout=60).json()["answer"])
        logs.append(log.read_text())
        assert (card["id"], card["variant"]) == ("plain", "fp32")
    assert answers[0] == answers[1] != ""
    assert ["written: " in log for log in logs] == [True, False]
    (weights,) = (tmp_path / "home").glob("plain-*/fp32/model.safetensors")
    assert weights.samefile(plain / "model.safetensors")


def test_a_hub_id_is_served_with_one_command(tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "Qwen/Qwen2-VL-2B-Instruct"
    write(LAYOUTS[0], tmp_path / "repository")
    with serving(Hub({name: tmp_path / "repository"})) as endpoint:
        settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
        for variable, value in {**settings, "NO_PROXY": "*", "TALLYGLASS_HOME": str(tmp_path / "home")}.items():
            monkeypatch.setenv(variable, value)
        with running("qwen_vl", tmp_path / "log", "--model", name, "--variant", "bf16", "--threads", "1") as service:
            files = {"image": ("image.png", png)}
            fields = {
                "question": "有几个<|im_end|>?",
                "lens": '{"track": ["3", "三", " three"]}',
                "max_new_tokens": "4",
            }
            answer = httpx.post(f"{service.url}/v1/answer", files=files, data=fields, timeout=120).json()
    assert (answer["model"], answer["variant"]) == (name, "bf16")
    assert [one["token"] for one in answer["lens"]["steps"][0]["layers"][0]["track"]] == ["3", "三", " three"]


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


def test_a_stand_in_for_the_headers_font_is_told_at_the_start_and_to_clients(tmp_path: Path) -> None:
    model = TINY.with_name("tiny-matcha")
    plain = shutil.copytree(model, tmp_path / "charts", ignore=shutil.ignore_patterns("manifest.json"))
    with running("matcha", tmp_path / "log", "--model", str(plain), "--allow-unverified") as service:
        (card,) = httpx.get(f"{service.url}/v1/models").json()["data"]
    (warning,) = card["warnings"]
    assert warning.startswith("the header is drawn in the default font of Pillow, not in the font the model was")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["message"] for line in lines if line["level"] == "WARNING"] == [warning]
