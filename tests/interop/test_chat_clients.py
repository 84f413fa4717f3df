"""Other people's clients, unmodified, against both services; the ``openai`` package is used throughout the tests."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from clients.launcher import Service, running
from tests.interop.conftest import output_of

SAMPLES = Path(__file__).parents[2] / "clients/samples"
ASKED = {
    "matcha": (SAMPLES / "realcqa/images/PMC9000001_g001.jpg", "What type of chart is it?"),
    "qwen_vl": (SAMPLES / "tallyqa/VG_100K/2378836.jpg", "Count the rings."),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(name, logs / name, "--threads", "1")) for name in ASKED}


@pytest.mark.parametrize("client", ["litellm", "langchain", "llama-index", "llm"])
def test_a_client_gets_the_services_answer_whole_and_streamed(
    client: str, services: dict[str, Service], chat_clients_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # instead of a list from the network
    for name, (image, question) in ASKED.items():
        url = services[name].url
        (card,) = httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]
        script = str(Path(__file__).with_name("chat_clients.py"))
        whole, streamed = json.loads(
            output_of(chat_clients_python, script, client, url, card["id"], str(image), question).splitlines()[-1]
        )
        assert whole == streamed == _answer(url, image, question) != ""


def _answer(url: str, image: Path, question: str) -> str:
    """What the service says to the same question in the same order, asked without a client's help."""
    encoded = f"data:image/jpeg;base64,{base64.b64encode(image.read_bytes()).decode()}"
    parts = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": encoded}}]
    body = {"model": "any", "messages": [{"role": "user", "content": parts}]}
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    answer: str = reply.raise_for_status().json()["choices"][0]["message"]["content"]
    return answer
