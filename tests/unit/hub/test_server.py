"""The small hub against ``huggingface_hub`` itself, in processes of its own: it reads its settings once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import PIECE, Hub, serving

pytestmark = pytest.mark.slow

MODEL = "someone/model"
FILES = {
    "config.json": b'{"model_type": "none"}',
    "model.safetensors": bytes(range(256)) * 4096,
    "sub folder/notes.txt": b"written by hand\n",
    "sub folder/adapter.safetensors": b"a large file's name",
}
DOWNLOAD = """
import json, os, sys
from huggingface_hub import snapshot_download
for options in json.loads(sys.argv[1]):
    os.environ["HF_TOKEN"] = options.pop("token", "")
    try:
        print(json.dumps({"folder": snapshot_download(**options)}))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""
Reply = dict[str, str]
"""A snapshot's ``folder``, or the ``error`` and its ``message``."""


class Client:
    """Downloads from a hub into a cache of its own."""

    def __init__(self, endpoint: str, home: Path) -> None:
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "*",
        }

    def download(self, *wanted: dict[str, str], **environment: str) -> list[Reply]:
        """Call ``snapshot_download`` with each of these options in one process; a ``token`` is put in ``HF_TOKEN``."""
        options = json.dumps([{"repo_id": MODEL} | one for one in wanted or [{}]])
        command = [sys.executable, "-c", DOWNLOAD, options]
        run = subprocess.run(command, env=self.environment | environment, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    for path, data in FILES.items():
        file = tmp_path / "model" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return Hub({MODEL: tmp_path / "model"})


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Iterator[Client]:
    with serving(hub) as endpoint:
        yield Client(endpoint, tmp_path / "home")


def content(reply: Reply) -> dict[str, bytes]:
    """The files of the folder that a download gave."""
    folder = Path(reply["folder"])
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(hub: Hub) -> list[str]:
    """Paths of the repository's that were asked for; the client asks for a page of the hub's own too."""
    return [request.path for request in hub.requests if MODEL in request.path]


def test_a_repository_is_downloaded_whole_and_then_comes_from_the_cache(hub: Hub, client: Client) -> None:
    commit = hub.repositories[MODEL].commit
    [first] = client.download()
    assert content(first) == FILES
    assert Path(first["folder"]).name == commit
    hub.requests.clear()
    assert client.download({}, {"revision": commit}) == [first, first]
    assert asked(hub) == [f"/api/models/{MODEL}/revision/main"]
    hub.requests.clear()
    assert client.download(HF_HUB_OFFLINE="1") == [first]
    assert hub.requests == []


def test_a_download_that_breaks_goes_on_where_it_broke(tmp_path: Path) -> None:
    data = os.urandom(PIECE + 300_000)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(data)
    hub = Hub({MODEL: folder})
    hub.cuts["model.safetensors"] = PIECE + 100_000
    with serving(hub) as endpoint:
        [reply] = Client(endpoint, tmp_path / "home").download()
    assert content(reply) == {"model.safetensors": data}
    ranges = [request.range for request in hub.requests if request.method == "GET" and "/stored/" in request.path]
    assert ranges == [None, f"bytes={PIECE}-"]


def test_wrong_bytes_of_the_right_number_are_kept(hub: Hub, client: Client) -> None:
    hub.wrong["model.safetensors"] = bytes(len(FILES["model.safetensors"]))
    [reply] = client.download()
    assert content(reply) == FILES | hub.wrong  # the client compares sizes alone


def test_wrong_bytes_of_another_number_are_refused(hub: Hub, client: Client) -> None:
    hub.wrong["model.safetensors"] = b"short"
    [reply] = client.download()
    assert "Consistency check failed" in reply["message"]


def test_a_gated_repository_wants_the_token_which_the_storage_never_sees(hub: Hub, client: Client) -> None:
    hub.gated.add(MODEL)
    without, other, own = client.download({}, {"token": "other"}, {"token": hub.token})
    assert [without["error"], other["error"]] == ["GatedRepoError", "GatedRepoError"]
    assert content(own) == FILES
    assert {request.token for request in hub.requests if "/stored/" in request.path} == {None}


def test_a_private_repository_is_missing_without_the_token(hub: Hub, client: Client) -> None:
    hub.private.add(MODEL)
    without, other, own = client.download({}, {"token": "other"}, {"token": hub.token})
    assert [without["error"], other["error"]] == ["RepositoryNotFoundError", "RepositoryNotFoundError"]
    assert content(own) == FILES


def test_what_does_not_exist_is_named(hub: Hub, client: Client) -> None:
    missing = {"repo_id": "someone/else"}
    replies = client.download(
        missing, missing | {"token": hub.token}, {"revision": "v2"}, {"revision": "0" * 40}, {"revision": "main"}
    )
    assert [reply.get("error") for reply in replies] == [
        "RepositoryNotFoundError",
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
        "RevisionNotFoundError",
        None,
    ]


def test_without_a_cache_nothing_is_found_offline(hub: Hub, client: Client) -> None:
    [reply] = client.download(HF_HUB_OFFLINE="1")
    assert reply["error"] == "LocalEntryNotFoundError"
    assert hub.requests == []
