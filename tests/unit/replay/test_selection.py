"""Which questions are asked: filters, draws, protocols, and what the record says of them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.errors import ReplayError
from clients.replay.folder import RunFolder
from clients.replay.index import SampleIndex
from clients.replay.protocols import PROTOCOLS
from clients.replay.record import Criteria
from clients.replay.selection import Shard, select, wanted
from clients.replay.tasks import TASKS
from clients.replay.tasks.sample import Sample

Make = Callable[..., Any]


@pytest.fixture
def counts(tallyqa: Make, tally: Make) -> Path:
    """Forty pictures with 1 to 4 questions each; every third question simple, answers 0 to 9."""
    entries = [
        tally(100 * picture + place, image=f"VG_100K/{picture}.png", answer=(picture + place) % 10, issimple=not place)
        for picture in range(40)
        for place in range(1 + picture % 4)
    ]
    folder = tallyqa(entries)
    assert isinstance(folder, Path)
    return folder


@contextmanager
def selected(data: Path, task: str = "tallyqa", **criteria: Any) -> Iterator[tuple[SampleIndex, list[Sample]]]:
    asked = Criteria(**{"split": "test"} | criteria)
    with SampleIndex(TASKS[task].scan(data, asked.split), lambda sample: wanted(asked, sample)) as index:
        select(index, asked)
        yield index, list(index.samples())


def test_simple_questions_only(counts: Path) -> None:
    with selected(counts, simple_only=True) as (index, samples):
        assert {sample.labels["complexity"] for sample in samples} == {"simple"}
        assert (len(samples), index.passed_over) == (40, 60)


def test_answers_up_to_a_count(counts: Path) -> None:
    with selected(counts, max_answer=5) as (_, samples):
        assert {int(str(sample.gold)) for sample in samples} == set(range(6))


def test_the_limit_is_drawn_after_the_filters_so_it_is_reached(counts: Path) -> None:
    """The lens study's code drew first and dropped the large answers afterwards: fewer were left than it said."""
    with selected(counts, max_answer=5, limit=30) as (_, samples):
        assert len(samples) == 30
        assert max(int(str(sample.gold)) for sample in samples) <= 5


def test_a_draw_reaches_the_whole_split_not_its_head(counts: Path) -> None:
    """The lens study's code put numbers below the filtered length in place of the filtered rows: it drew the head."""
    last = {f"{100 * picture}" for picture in range(30, 40)}
    drawn = Counter[str]()
    for seed in range(30):
        with selected(counts, simple_only=True, limit=10, seed=seed) as (_, samples):
            drawn.update(sample.id for sample in samples)
    assert len(last & drawn.keys()) == len(last)


def test_one_question_of_each_picture_each_with_the_same_chance(counts: Path) -> None:
    drawn = Counter[str]()
    for seed in range(200):
        with selected(counts, one_question_per_image=True, seed=seed) as (_, samples):
            assert len({sample.image_key for sample in samples}) == len(samples) == 40
            drawn.update(sample.id for sample in samples if sample.image_key == "VG_100K/3.png")
    assert len(drawn) == 4
    assert all(25 < count < 80 for count in drawn.values()), "each is expected 50 times"


def test_a_share_of_the_pictures_with_all_their_questions(counts: Path) -> None:
    with selected(counts) as (_, everything):
        own = Counter(sample.image_key for sample in everything)
    with selected(counts, picture_share=0.15) as (index, samples):
        assert index.pictures() == 6
        assert Counter(sample.image_key for sample in samples) == {
            key: own[key] for key in {sample.image_key for sample in samples}
        }


@pytest.mark.parametrize(
    ("names", "ids"),
    [(("numerical",), {"PMC1_a/n"}), (("reasoning",), {"PMC1_a/n"}), (("2e", "binary"), {"PMC1_a/b"})],
)
def test_questions_of_a_type_kind_or_taxonomy_id(
    realcqa: Make, block: Make, names: tuple[str, ...], ids: set[str]
) -> None:
    data = realcqa({"PMC1_a": [block("4a", qa_id="n", answer="3", answer_type="Numerical"), block("2e", qa_id="b")]})
    with selected(data, "realcqa", question_types=names) as (_, samples):
        assert {sample.id for sample in samples} == ids


def test_a_selection_that_leaves_nothing_says_why(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block()]})
    with pytest.raises(ReplayError, match="1 did not fit"), selected(data, "realcqa", question_types=("pie",)):
        pass


def test_shards_share_pictures_out_and_leave_none(counts: Path) -> None:
    everything: list[str] = []
    for number in range(3):
        with selected(counts, limit=70) as (index, _):
            index.keep_shard(number, 3)
            keys = set(index.picture_keys())
            everything += [sample.id for sample in index.samples()]
            assert len(keys) in {10, 11, 12, 13, 14}
    with selected(counts, limit=70) as (_, samples):
        assert sorted(everything) == sorted(sample.id for sample in samples)


@pytest.mark.parametrize("text", ["3/3", "-1/3", "0/0", "1", "a/b"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"shard|invalid"):
        Shard.parse(text)


def dry(data: Path, out: Path, task: str, *options: str) -> str:
    """A run against nobody: its message."""
    command = ["run", "--task", task, "--data", str(data), "--url", "http://127.0.0.1:1", "--out", str(out)]
    return CliRunner().invoke(app, [*command, *options, "--retries", "0"]).output


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("realcqa", ["--simple-only"], "TallyQA"),
        ("tallyqa", ["--simple-only", "--split", "train"], "test split"),
        ("realcqa", ["--max-answer", "5"], "counts"),
        ("tallyqa", ["--split", "all"], "splits test, train"),
        ("realcqa", ["--protocol", "lens-study"], "tallyqa"),
        ("tallyqa", ["--protocol", "imagenet"], "lens-study"),
        ("tallyqa", ["--prompt", "How many?"], "{question}"),
        ("tallyqa", ["--shard", "4/4"], "0 to n - 1"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(tmp_path: Path, task: str, options: list[str], words: str) -> None:
    output = " ".join(dry(tmp_path, tmp_path / "run", task, *options).replace("│", " ").split())
    assert words in output


def protocol_run(do_run: Make, name: str, data: Path, out: Path) -> RunFolder:
    protocol = PROTOCOLS[name]
    fields = {key: value for key, value in protocol.options.items() if key in Criteria.model_fields}
    do_run(protocol.task, data, out=out, protocol=name, note=protocol.note, **fields)
    return RunFolder(out)


def test_the_lens_study_s_protocol(counts: Path, do_run: Make, tmp_path: Path) -> None:
    selection = protocol_run(do_run, "lens-study", counts, tmp_path / "run").read_record().selection
    assert (selection.simple_only, selection.max_answer, selection.limit) == (True, 5, 5000)
    assert selection.questions == selection.eligible == 24
    assert selection.protocol == "lens-study"
    assert "512" in str(selection.note)


def test_the_finetune_study_s_protocol(realcqa: Make, block: Make, do_run: Make, tmp_path: Path) -> None:
    charts = {f"PMC{number}_a": [block(qa_id="1"), block(qa_id="2")] for number in range(40)}
    run = protocol_run(do_run, "finetune-study", realcqa(charts, test=["PMC0_a"]), tmp_path / "run")
    selection = run.read_record().selection
    assert (selection.questions, selection.pictures, selection.eligible) == (6, 6, 80), "15 % of 40 charts, one each"
    assert "official test list" in str(selection.note)


def test_a_protocol_on_the_command_line_sets_what_is_not_given(
    counts: Path, tmp_path: Path, url: str, asked: list[dict[str, Any]]
) -> None:
    command = ["run", "--task", "tallyqa", "--data", str(counts), "--url", url, "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, "--protocol", "lens-study", "--limit", "4"])
    assert result.exit_code == 0, result.output
    record = RunFolder(tmp_path / "run").read_record()
    assert (record.selection.limit, record.selection.max_answer, record.lens) == (4, 5, True)
    assert (record.max_new_tokens, record.prompt) == (32, "{question} Output single word with exact number.")
    assert all(body["question"].endswith("? Output single word with exact number.") for body in asked)
    assert all(body["max_new_tokens"] == 32 for body in asked)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["selection"]["protocol"] == "lens-study"
