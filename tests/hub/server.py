"""A small hub on 127.0.0.1 that serves folders over the interface through which ``huggingface_hub`` downloads.

As on the real one, a large file is not served where it is asked for: the answer there leads to storage of another
origin, which wants no token.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from tests.hub.repository import BRANCH, Entry, Repository

UNAUTHENTICATED: Final = (
    "unauthenticated; You are sending unauthenticated requests to the HF Hub. "
    "Please set a HF_TOKEN to enable higher rate limits and faster downloads."
)
"""What the real hub has its client say where no token is sent."""
PIECE: Final = 10 * 1024 * 1024
"""``huggingface_hub`` writes this many bytes at a time, and goes on from the last that it wrote."""

_API = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+)(/.*)?)?")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_STORED = re.compile(r"/stored/([^/]+/[^/]+)/([0-9a-f]{64})/(.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: its method, its path without the query, and the headers that matter."""

    method: str
    path: str
    token: str | None
    range: str | None


class RefusedError(Exception):
    """The hub's way of saying no: a status, its own code and a sentence, and the commit where one was found."""

    def __init__(self, status: HTTPStatus, code: str, message: str, commit: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Code": code, "X-Error-Message": message}
        if commit is not None:
            self.headers["X-Repo-Commit"] = commit


class Hub:
    """The repositories of a hub, who may read them, and what is to go wrong.

    Attributes:
        repositories: by owner and name.
        token: the one that opens every repository.
        gated: repositories that all can see, and only the token's owner can download.
        private: repositories that only the token's owner can see.
        cuts: after how many bytes the connection breaks, by file name; each happens once.
        stalls: after how many bytes nothing more comes until ``resumed`` is set, by file name; each happens once.
        stalled: set while a download stalls.
        resumed: ends what stalls.
        wrong: bytes to serve in place of a file's own, by file name.
        requests: all that came, in order.
    """

    def __init__(self, folders: Mapping[str, Path], token: str = "hf_test") -> None:  # noqa: S107 it opens nothing real
        self.repositories = {name: Repository(name, folder) for name, folder in folders.items()}
        self.token = token
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.cuts: dict[str, int] = {}
        self.stalls: dict[str, int] = {}
        self.stalled = threading.Event()
        self.resumed = threading.Event()
        self.wrong: dict[str, bytes] = {}
        self.requests: list[Request] = []

    def repository(self, name: str, revision: str, token: str | None) -> Repository:
        """The repository that the bearer of a token sees under a name.

        Raises:
            RefusedError: there is none, or the token's bearer must not know of it; or it has no such revision.
        """
        found = self.repositories.get(name)
        if found is None or (name in self.private and token != self.token):
            # Without a token, what does not exist is not told from what is private.
            status = HTTPStatus.UNAUTHORIZED if token is None else HTTPStatus.NOT_FOUND
            raise RefusedError(status, "RepoNotFound", "Repository not found")
        if not found.has(revision):
            raise RefusedError(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def file(self, repository: Repository, path: str, token: str | None) -> Entry:
        """A file that the bearer of a token may download.

        Raises:
            RefusedError: the repository is gated and the token does not open it, or there is no such file.
        """
        if repository.name in self.gated and token != self.token:
            status = HTTPStatus.UNAUTHORIZED if token is None else HTTPStatus.FORBIDDEN
            raise RefusedError(status, "GatedRepo", f"Access to model {repository.name} is restricted.")
        if path not in repository.files:
            raise RefusedError(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found", repository.commit)
        return repository.files[path]


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Serve a hub on a free port while the block runs; yields its address, as ``HF_ENDPOINT`` takes it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub)) as server:
        server.daemon_threads = False  # leaving the block then waits for the last answer
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection closes after it, so a break in it is an answer shorter than it said."""

    def __init__(self, hub: Hub, *connection: Any) -> None:
        self.hub = hub
        super().__init__(*connection)

    def log_message(self, *_: Any) -> None:
        """Keep standard error for what matters."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        bearer = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        self.hub.requests.append(Request(self.command, path, bearer, self.headers["Range"]))
        try:
            self._answer(path, bearer)
        except RefusedError as refused:
            self._send(refused.status, json.dumps({"error": str(refused)}).encode(), refused.headers)

    def _answer(self, path: str, token: str | None) -> None:
        if stored := _STORED.fullmatch(path):
            name, _, file = stored.groups()
            self._content(self.hub.repositories[name].files[file], {})
        elif api := _API.fullmatch(path):
            name, kind, revision, under = api.groups()
            repository = self.hub.repository(name, revision or BRANCH, token)
            self._json(_tree(repository, (under or "").strip("/")) if kind == "tree" else repository.info())
        elif resolve := _RESOLVE.fullmatch(path):
            name, revision, file = resolve.groups()
            repository = self.hub.repository(name, revision, token)
            self._resolve(repository, self.hub.file(repository, file, token))
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", f"no such page: {path}")

    def _json(self, value: object) -> None:
        self._send(HTTPStatus.OK, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: Repository, entry: Entry) -> None:
        headers = {"X-Repo-Commit": repository.commit}
        if not entry.large:
            self._content(entry, headers)
            return
        headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(len(entry.data))}
        # The other name of this machine is another origin, to which no token must be sent.
        origin = f"http://localhost:{self.connection.getsockname()[1]}"
        stored = f"{origin}/stored/{repository.name}/{entry.etag}/{quote(entry.path)}"
        self._send(HTTPStatus.FOUND, b"", headers | {"Location": stored})

    def _content(self, entry: Entry, headers: dict[str, str]) -> None:
        data = self.hub.wrong.get(entry.path, entry.data)
        headers = headers | {"ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"}
        status = HTTPStatus.OK
        if wanted := _RANGE.fullmatch(self.headers["Range"] or ""):
            first, last = int(wanted[1]), int(wanted[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            status, data = HTTPStatus.PARTIAL_CONTENT, data[first : last + 1]
        getting = self.command == "GET"
        if getting and (stall := self.hub.stalls.pop(entry.path, None)) is not None:
            self._send(status, data, headers, stall)
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.resumed.wait()
            return
        cut = self.hub.cuts.pop(entry.path, None) if getting else None
        self._send(status, data, headers, cut)

    def _send(self, status: HTTPStatus, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        if self.headers["Authorization"] is None:  # which the client prints
            headers = headers | {"X-HF-Warning": UNAUTHENTICATED}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # a client may have had enough
                self.wfile.write(body[:cut])


def _tree(repository: Repository, under: str) -> list[dict[str, Any]]:
    start = f"{under}/" if under else ""
    listed = [entry.listed() for path, entry in repository.files.items() if path.startswith(start)]
    if under and not listed:
        raise RefusedError(HTTPStatus.NOT_FOUND, "EntryNotFound", f"{under} does not exist")
    return listed
