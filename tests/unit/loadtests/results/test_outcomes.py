"""The line of one request, and the record of a load test: every field is set correctly and can be read back."""

import json
from pathlib import Path

import pytest

from clients.replay.run.outcomes import Failed, OutcomeReader, Scored
from loadtests.errors import LoadTestError
from loadtests.profile import Profile
from loadtests.results.outcomes import LoadFailed, LoadScored, Outcome, read
from loadtests.results.run_folder import LoadSettings, read_record
from services.wire.lens import LensTrace
from tests.unit.loadtests.making import ANSWER, BUSY, LATE, an_ask, exact, folder_of, result


def test_times_are_reported_in_their_units() -> None:
    """Due at 100 s, sent 30 ms later, answered 250 ms after that."""
    one = exact(100.0, 100.03, 250)
    assert one.lag_ms == pytest.approx(30)
    assert one.waited_for_ms == pytest.approx(280)
    assert one.ended_at_s == pytest.approx(100.28)


@pytest.mark.parametrize("reply", [ANSWER, BUSY], ids=["answered", "refused"])
def test_an_outcome_says_what_was_asked_and_when(reply: object) -> None:
    ask = an_ask()
    failure = BUSY if reply is BUSY else None
    one = ask.outcome(
        failure or ANSWER,
        intended_at_s=1_700_000_000.1234564,
        sent_at_s=1_700_000_001.6543214,
        latency_ms=12.34567,
    )
    assert (one.sample_id, one.image, one.image_sha256) == (ask.id, ask.sample.image_key, ask.image_sha256)
    assert (one.question, one.gold, one.answer_type) == (ask.sample.question, ask.sample.gold, ask.sample.answer_type)
    assert one.labels == dict(ask.sample.labels)
    assert one.intended_at_s == pytest.approx(1_700_000_000.123456, abs=4e-7)
    assert one.sent_at_s == pytest.approx(1_700_000_001.654321, abs=4e-7)
    assert one.latency_ms == 12.346


def test_an_answer_keeps_what_the_service_said_of_it() -> None:
    one = exact(0, 0, 5)
    assert isinstance(one, LoadScored)
    assert (one.answer, one.finish_reason, one.usage, one.timing, one.cache, one.lens) == (
        *("2", "stop", ANSWER.usage, ANSWER.timing, "miss", None),
    )


def test_a_failure_keeps_its_reason() -> None:
    one = exact(0, 0, 5, BUSY)
    assert isinstance(one, LoadFailed)
    assert one.failure == BUSY


def test_a_trace_is_kept_in_the_replay_clients_form() -> None:
    layer = {"layer": 0, "top": [{"token": "3", "token_id": 5, "prob": 0.75}]}
    layer |= {"entropy": 0.5, "answer_prob": 0.25, "answer_rank": 2}
    trace = LensTrace.model_validate({"num_layers": 1, "steps": [{"token": "2", "token_id": 4, "layers": [layer]}]})
    one = an_ask().outcome(ANSWER.model_copy(update={"lens": trace}), intended_at_s=0, sent_at_s=0, latency_ms=1)
    assert isinstance(one, LoadScored)
    assert one.lens
    assert (one.lens.token, one.lens.layers[0].tokens, one.lens.layers[0].answer_rank) == ("2", ("3",), 2)


def _written(tmp_path: Path) -> tuple[Path, list[Outcome]]:
    outcomes = [result(0, 80), result(1, 2, BUSY), result(2, 5000, LATE), result(3, 90)]
    return folder_of(tmp_path / "run", outcomes) / "outcomes.jsonl", outcomes


def test_what_is_written_reads_back_in_its_order(tmp_path: Path) -> None:
    path, outcomes = _written(tmp_path)
    assert read(path) == tuple(outcomes)


def test_the_replay_client_reads_the_same_file(tmp_path: Path) -> None:
    path, outcomes = _written(tmp_path)
    read_there = [one for _, one in OutcomeReader(path)]
    assert [type(one) for one in read_there] == [Scored, Failed, Failed, Scored]
    assert [(one.sent_at_s, one.intended_at_s) for one in read_there] == [
        (one.sent_at_s, one.intended_at_s) for one in outcomes
    ]


def test_only_a_last_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    path, outcomes = _written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert read(path) == tuple(outcomes[:-1])
    path.write_bytes(b'{"outcome": "scored"}\n' + whole)
    with pytest.raises(LoadTestError, match=r"outcomes\.jsonl, line 1, is not an outcome: Field req.*of a load test"):
        read(path)


def test_a_folder_without_outcomes_is_said(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match=r"outcomes\.jsonl cannot be read \(No such file or directory\)"):
        read(tmp_path / "outcomes.jsonl")


def test_a_replays_outcomes_are_none_of_a_load_tests(tmp_path: Path) -> None:
    """They do not record when they were due."""
    path, outcomes = _written(tmp_path)
    path.write_text(outcomes[0].model_dump_json(exclude={"intended_at_s"}) + "\n")
    with pytest.raises(LoadTestError, match=r"is not an outcome.* Give the folder of a load test"):
        read(path)


def test_a_load_says_what_its_profile_asks() -> None:
    profile = Profile(
        name="mine",
        loop="open",
        rate_per_s=7,
        users=3,
        duration_s=20,
        pictures="repeated",
        timeout_s=11,
        objective_ms=130,
    )
    load = LoadSettings.of("qwen_vl", profile)
    assert load.asked == profile
    assert not load.client_overloaded
    told = (load.profile, load.offered_rate_per_s, load.deadline_ms, load.users, load.service)
    assert told == ("mine", 7, 130, 3, "qwen_vl")


def test_a_record_reads_back_and_one_of_something_else_is_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", [], duration_s=12, overloaded=True)
    record = read_record(folder)
    assert (record.load.asked.duration_s, record.load.client_overloaded) == (12, True)
    replay = json.loads((folder / "run.json").read_text())
    del replay["load"]
    (folder / "run.json").write_text(json.dumps(replay))
    with pytest.raises(LoadTestError, match=r"run\.json is not the record of a load test: Field required"):
        read_record(folder)
    with pytest.raises(LoadTestError, match=r"nowhere is not a run folder \(No such file or directory: run\.json\)"):
        read_record(tmp_path / "nowhere")
