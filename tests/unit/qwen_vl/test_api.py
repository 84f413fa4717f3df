"""Jobs that come too late, at the worker's door: no model is needed to send them away."""

import time

import pytest

from services.common.errors import DeadlineError
from services.common.jobs import Job
from services.common.schemas import ModelCard, QwenVLRequest
from services.qwen_vl.api import Asked, QwenVLAPI
from services.qwen_vl.settings import QwenVLSettings


def test_a_job_whose_deadline_passed_in_the_queue_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["test"])
    api = QwenVLAPI(QwenVLSettings(), ModelCard(id="m", variant="fp32", revision="r", manifest_sha256=""))
    now = time.monotonic()
    job: Job[Asked] = Job("late", QwenVLRequest(image=b"", question="?"), now - 2, deadline_s=now - 1, timeout_s=1)
    (reply,) = api.begin(job)
    assert isinstance(reply, DeadlineError)
    assert list(api.step()) == []
