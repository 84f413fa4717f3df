"""What two sessions of a run, or two of its shards, must have in common."""

from pathlib import Path
from typing import Any

import pytest

from clients.replay.errors import ReplayError
from clients.replay.run.resume import require_same_run
from tests.unit.replay.reading import full_record

SERVER = {"id": "m", "variant": "fp32", "revision": "r1", "manifest_sha256": "ab"}
SELECTION = full_record().selection.model_dump()
OTHER_SELECTION = {
    "split": "train",
    "simple_only": True,
    "max_answer": 5,
    "question_types": ("count",),
    "picture_share": 0.5,
    "one_question_per_image": True,
    "limit": 90,
    "seed": 8,
    "protocol": "lens-study",
    "sha256": "ac",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "realcqa"}, "task was tallyqa, is realcqa"),
        ({"lens": False}, "lens was True, is False"),
        ({"max_patches": 65}, "max_patches was 64, is 65"),
        ({"max_new_tokens": None}, "max_new_tokens was 20, is None"),
        ({"prompt": "{question}!"}, "prompt was {question}, is {question}!"),
        ({"shard": {"index": 0, "count": 2, "questions": 45}}, "shard was None, is "),
        *(({"server": {**SERVER, name: "z"}}, "server was ") for name in SERVER),
        *(({"selection": {**SELECTION, name: value}}, f"{name} was ") for name, value in OTHER_SELECTION.items()),
    ],
)
def test_what_two_sessions_of_a_run_must_have_in_common(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ReplayError) as refused:
        require_same_run(Path("there"), full_record(), full_record(**changes))
    assert str(refused.value).startswith(f"there contains a different run: {words}")
    assert str(refused.value).count(" was ") == 1, "what is alike is not told"


def test_every_difference_is_reported() -> None:
    changes = {"selection": {**SELECTION, "seed": 8, "questions": 91}, "lens": False}
    with pytest.raises(ReplayError, match=r"seed was 7, is 8; questions was 90, is 91; lens was True, is False\."):
        require_same_run(Path("there"), full_record(), full_record(**changes))


def test_a_run_may_be_resumed_elsewhere_and_with_other_timeouts() -> None:
    elsewhere = {"url": "http://other", "machine": {"cpu": "d", "cores": 9, "system": "t"}, "versions": {}}
    patiently = {"concurrency": 9, "timeout_s": 600, "retries": 9, "started": "2026-02-01T10:00:00Z", "ended": None}
    require_same_run(Path("there"), full_record(), full_record(**elsewhere, **patiently, status="running", resumed=2))
