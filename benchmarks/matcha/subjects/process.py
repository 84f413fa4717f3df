"""Something to time, in a separate process that stays loaded, so that subjects can be timed in turns (A B A B)."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.matcha.subjects.peer import TOKENS
from services.common.cpu import WORKER_ENVIRONMENT

_SCRIPT = Path(__file__).with_name("peer.py")


@dataclass(slots=True)
class Subject:
    """A named command that answers one line per request; ``asks_with`` is the file to send: an image or its patches."""

    name: str
    command: list[str]
    asks_with: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    preprocess_ms: list[float] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        environment = {**os.environ, **self.environment, "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(  # noqa: S603 our own scripts
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._stream(self._process.stdin).close()
            self._process.wait(30)

    def ask(self, *, warm_up: bool = False) -> None:
        """Time one answer."""
        if not self._process:
            message = f"{self.name} is not loaded"
            raise RuntimeError(message)
        stdin = self._stream(self._process.stdin)
        stdin.write(f"{self.asks_with}\n")
        stdin.flush()
        reply = self._read()
        if len(reply["tokens"]) != TOKENS:
            message = f"{self.name} gave {len(reply['tokens'])} tokens instead of {TOKENS}: times are not comparable"
            raise RuntimeError(message)
        if not warm_up:
            self.seconds.append(reply["seconds"])
            self.preprocess_ms.append(reply.get("preprocess_ms", 0.0))

    def _read(self) -> dict[str, Any]:
        assert self._process  # noqa: S101 only called while the process runs
        for line in self._stream(self._process.stdout):
            if line.startswith("{"):  # the libraries print too
                reply: dict[str, Any] = json.loads(line)
                return reply
        message = f"{self.name} exited with {self._process.wait()}"
        raise RuntimeError(message)

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream  # noqa: S101 both are pipes
        return stream


def own(variant: str, folder: Path, image: Path, threads: int, max_patches: int) -> Subject:
    """A subject for one of our variants."""
    module = "benchmarks.matcha.subjects.own"
    return Subject(
        variant,
        [sys.executable, "-m", module, variant, str(folder), str(threads), str(max_patches)],
        image,
        WORKER_ENVIRONMENT,  # as in the service's worker
    )


def peer(name: str, kind: str, folder: Path, patches: Path, threads: int, python: Path) -> Subject:
    """A subject that runs in Optimum's environment, whose interpreter is ``python``."""
    return Subject(name, [str(python), str(_SCRIPT), kind, str(folder), str(threads)], patches)
