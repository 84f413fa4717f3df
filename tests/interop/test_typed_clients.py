"""Typed clients generated from ``/openapi.json``, in Python and in TypeScript, ask both routes of both services."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from clients.launcher import Service
from services.wire.answer import AnswerResponse
from tests.interop.conftest import output_of

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture
def picture(tmp_path: Path, png: bytes) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(png)
    return path


def expected(service: Service, png: bytes) -> dict[str, str | int]:
    """What the routes say, asked without a client; both put the image first."""
    form = {"question": "How many shapes are there?"}
    sent = httpx.post(f"{service.url}/v1/answer", data=form, files={"image": ("a.png", png)}, timeout=60)
    answer = AnswerResponse.model_validate_json(sent.raise_for_status().content)
    return {"answer": answer.answer, "chat": answer.answer, "tokens": 2 * answer.usage.completion_tokens}


def test_a_python_client_asks_both_routes(
    service: Service, png: bytes, picture: Path, tmp_path: Path, openapi_clients_python: Path
) -> None:
    generator = openapi_clients_python.with_name("openapi-python-client")
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{service.url}/openapi.json").content)
    settings = tmp_path / "settings.yaml"
    settings.write_text("package_name_override: tallyglass_client\nproject_name_override: client\npost_hooks: []\n")
    options = ["generate", "--path", str(document), "--config", str(settings), "--meta", "none", "--fail-on-warning"]
    made = subprocess.run(
        [str(generator), *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    shutil.copy(HERE / "typed_python.py", tmp_path)
    told = output_of(openapi_clients_python, "typed_python.py", service.url, str(picture), cwd=tmp_path)
    assert json.loads(told) == expected(service, png)


def test_a_typescript_client_compiles_and_asks_both_routes(
    service: Service, png: bytes, picture: Path, tmp_path: Path, typescript: Path
) -> None:
    for name in ("ask.ts", "wrong.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / "typed" / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(typescript)
    document = tmp_path / "openapi.json"
    document.write_bytes(httpx.get(f"{service.url}/openapi.json").content)

    def run(*command: str) -> str:
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run("node_modules/.bin/openapi-typescript", str(document), "--output", "schema.d.ts")
    run("node_modules/.bin/tsc")
    assert json.loads(run("node", "built/ask.js", service.url, str(picture))) == expected(service, png)
