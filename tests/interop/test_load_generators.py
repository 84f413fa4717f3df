"""guidellm and aiperf, unmodified, ask both services about an image, streaming and not."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from clients.launcher import Service
from tests.interop.conftest import ROOT

QUESTIONS = 4
IMAGE = ROOT / "clients/samples/tallyqa/VG_100K/2378836.jpg"

pytestmark = pytest.mark.slow


def run(python: Path, folder: Path, *command: str) -> None:
    """Run a command of another environment where it finds no settings of ours; its output explains a failure."""
    ended = subprocess.run(
        [str(python.with_name(command[0])), *command[1:]],
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]


def questions(folder: Path, **fields: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text(f"{json.dumps({**fields, 'image': str(IMAGE)})}\n" * QUESTIONS)
    return path


def served(service: Service) -> tuple[str, Path]:
    """The name and the folder of its model."""
    (card,) = httpx.get(f"{service.url}/v1/models", trust_env=False).json()["data"]
    return card["id"], ROOT / "models" / card["id"].partition("/")[2]


def answered(service: Service) -> float:
    """Chat requests that were answered so far."""
    wanted = 'tallyglass_requests_total{route="/v1/chat/completions",status="200"'
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def guidellm(python: Path, folder: Path, service: Service, *, stream: bool) -> int:
    """Successful requests; each asks for four tokens and says to ignore the end of the answer."""
    name, model = served(service)
    data = questions(folder, question="Count the rings.", output_tokens_count=4)
    run(
        python,
        folder,
        *("guidellm", "run", "--profile", "kind=synchronous", "--disable-console-interactive"),
        *("--backend", f"kind=openai_http,target={service.url},model={name},stream={str(stream).lower()}"),
        *("--constraint", f"kind=max_requests,count={QUESTIONS}", "--tokenizer", f"kind=hf_auto,model={model}"),
        *("--data", f"kind=json_file,path={data}", "--output", f"kind=json,path={folder / 'told.json'}"),
    )
    (benchmark,) = json.loads((folder / "told.json").read_bytes())["benchmarks"]
    for asked in benchmark["requests"]["successful"]:
        assert '"image_url"' in asked["request_args"]
    totals: dict[str, int] = benchmark["metrics"]["request_totals"]
    assert totals["errored"] == totals["incomplete"] == 0
    return totals["successful"]


def aiperf(python: Path, folder: Path, service: Service, *, stream: bool) -> int:
    """Successful requests."""
    name, model = served(service)
    run(
        python,
        folder,
        *("aiperf", "profile", "--url", service.url, "--model", name, "--tokenizer", str(model), "--ui", "none"),
        *("--endpoint-type", "chat", *(["--streaming"] if stream else []), "--request-count", str(QUESTIONS)),
        *("--input-file", str(questions(folder, text="Count the rings.")), "--custom-dataset-type", "single_turn"),
        *("--concurrency", "1", "--artifact-dir", str(folder / "told")),
    )
    told = json.loads((folder / "told/profile_export_aiperf.json").read_bytes())
    assert told["error_summary"] == []
    assert told["num_images"]["avg"] == 1
    assert ("time_to_first_token" in told) == stream
    return int(told["request_count"]["avg"])


@pytest.mark.parametrize(
    ("generator", "name", "stream"),
    [(guidellm, "matcha", True), (guidellm, "qwen_vl", False), (aiperf, "matcha", False), (aiperf, "qwen_vl", True)],
)
def test_a_load_generator_gets_all_its_answers(
    generator: object,
    name: str,
    stream: bool,  # noqa: FBT001 a parameter of the test
    load_generators_python: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    service: Service = request.getfixturevalue(name)
    before = answered(service)
    assert callable(generator)
    assert generator(load_generators_python, tmp_path, service, stream=stream) == QUESTIONS
    assert answered(service) - before >= QUESTIONS
