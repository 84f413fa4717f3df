"""Selection: filters, draws, protocols, and how the record describes them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clients.replay.__main__ import app
from clients.replay.errors import ReplayError
from clients.replay.run.folder import RunFolder
from clients.replay.run.record import RunRecord, ShardRecord
from clients.replay.scoring.gold import AnswerType
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria
from clients.replay.tasks.index import SampleIndex
from clients.replay.tasks.sample import Sample
from clients.replay.tasks.selection import select, wanted
from tests.unit.replay.reading import ids, load, question

Make = Callable[..., Any]


@pytest.fixture
def counts(tallyqa: Make, tally: Make) -> Path:
    """Forty images with 1 to 4 questions each; the first of each is simple; answers 0 to 9."""
    entries = [
        tally(100 * image + place, image=f"VG_100K/{image}.png", answer=(image + place) % 10, issimple=not place)
        for image in range(40)
        for place in range(1 + image % 4)
    ]
    folder = tallyqa(entries)
    assert isinstance(folder, Path)
    return folder


@contextmanager
def selected(data: Path, task: str = "tallyqa", **criteria: Any) -> Iterator[tuple[SampleIndex, list[Sample]]]:
    asked = Criteria(**{"split": "test"} | criteria)
    with SampleIndex(TASKS[task].scan(data, asked.split), partial(wanted, asked)) as index:
        select(index, asked)
        yield index, list(index.samples())


def test_simple_questions_only(counts: Path) -> None:
    with selected(counts, simple_only=True) as (index, samples):
        assert {sample.labels["complexity"] for sample in samples} == {"simple"}
        assert (len(samples), index.passed_over) == (40, 60)


@pytest.mark.parametrize("limit", [0, 5, 8])
def test_answers_up_to_a_count(counts: Path, limit: int) -> None:
    with selected(counts, max_answer=limit) as (_, samples):
        assert {int(str(sample.gold)) for sample in samples} == set(range(limit + 1))


def test_a_question_must_fit_every_filter(counts: Path) -> None:
    with selected(counts, max_answer=5, simple_only=True) as (index, samples):
        assert (len(samples), index.passed_over) == (24, 76)


def test_draws_are_made_of_images_then_of_one_question_each_then_of_questions(counts: Path) -> None:
    asked = Criteria(split="test", max_answer=8, picture_share=0.5, one_question_per_image=True, limit=19)
    scan = TASKS["tallyqa"].scan(counts, "test")
    with SampleIndex(scan, partial(wanted, asked)) as index:
        eligible = index.questions()
        selection = select(index, asked)
        keys = index.image_keys()
    assert (selection.eligible, selection.questions, selection.pictures) == (eligible, 19, 19)
    assert 60 < eligible < 100
    assert len(set(keys)) == 19
    assert selection.model_dump(include=set(Criteria.model_fields)) == asked.model_dump()


@pytest.mark.parametrize("draw", [{"limit": 20}, {"picture_share": 0.3}, {"one_question_per_image": True}])
def test_the_seed_reaches_every_draw(counts: Path, draw: dict[str, Any]) -> None:
    choices = []
    for seed in (0, 7, 0):
        with selected(counts, seed=seed, **draw) as (_, samples):
            choices.append([sample.id for sample in samples])
    assert choices[0] == choices[2] != choices[1]


def sha256(*samples: Sample) -> str:
    with SampleIndex(samples) as index:
        return select(index, Criteria(split="test")).sha256


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "9"},
        {"image_key": "9.png"},
        {"question": "How many more?"},
        {"gold": "4"},
        {"gold": ("3",)},
        {"answer_type": AnswerType.NUMERICAL},
    ],
    ids=str,
)
def test_the_sum_of_a_selection_tells_every_part_of_a_question(fields: dict[str, Any]) -> None:
    first, second = question("1", "1.png"), question("2", "1.png", gold="5")
    assert sha256(first, second) == sha256(first, replace(second, labels={}))
    assert sha256(first, second) != sha256(replace(first, **fields), second)
    assert sha256(first, second) != sha256(first)


def test_the_limit_is_drawn_after_the_filters_so_it_is_reached(counts: Path) -> None:
    """The lens study's code drew first and dropped the large answers afterwards: fewer were left than reported."""
    with selected(counts, max_answer=5, limit=30) as (_, samples):
        assert len(samples) == 30
        assert max(int(str(sample.gold)) for sample in samples) <= 5


def test_a_draw_reaches_the_whole_split_not_its_head(counts: Path) -> None:
    """The lens study's code used indices below the filtered length instead of the filtered rows: it took the head."""
    samples, last = load("tallyqa", counts).samples, {f"{100 * image}" for image in range(30, 40)}
    drawn = Counter[str]()
    for seed in range(30):
        asked = Criteria(split="test", simple_only=True, limit=10, seed=seed)
        with SampleIndex(samples, partial(wanted, asked)) as index:
            select(index, asked)
            drawn.update(ids(index))
    assert last <= drawn.keys()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("numerical",), {"PMC1_a/n"}),
        (("reasoning",), {"PMC1_a/n"}),
        (("2e", "binary"), {"PMC1_a/b"}),
        (("4a", "structure"), {"PMC1_a/n", "PMC1_a/b"}),
        (("scatter",), {"PMC2_b/s"}),
    ],
)
def test_questions_of_a_type_kind_taxonomy_id_or_chart(
    realcqa: Make, block: Make, names: tuple[str, ...], expected: set[str]
) -> None:
    numerical = block("4A", qa_id="n", answer="3", answer_type="Numerical")
    string = block("3", qa_id="s", answer="x", answer_type="String")
    data = realcqa({"PMC1_a": [numerical, block("2e", qa_id="b")], "PMC2_b": [string]})
    (data / "jsons").mkdir()
    (data / "jsons" / "PMC2_b.json").write_text('{"task1": {"output": {"chart_type": "Scatter"}}}')
    with selected(data, "realcqa", question_types=names) as (_, samples):
        assert {sample.id for sample in samples} == expected


def test_a_selection_that_leaves_nothing_says_why(realcqa: Make, block: Make) -> None:
    data = realcqa({"PMC1_a": [block(qa_id="1"), block(qa_id="2"), *["broken"] * 3]})
    told = (
        r"split 'test'.*: 2 did not match the filters \(question_types = \('pie',\), limit = 4\), "
        r"3 entries were unusable"
    )
    with pytest.raises(ReplayError, match=told), selected(data, "realcqa", question_types=("pie",), limit=4, seed=3):
        pass


def test_the_message_names_no_filter_if_there_is_none(realcqa: Make) -> None:
    told = r"0 did not match the filters \(none\), 2 entries were unusable"
    with (
        pytest.raises(ReplayError, match=told),
        selected(realcqa({"PMC1_a": ["broken"] * 2}), "realcqa", protocol="a study's", note="as it was"),
    ):
        pass


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
        ("chartqa", [], "'chartqa' is not one of realcqa, tallyqa"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(tmp_path: Path, task: str, options: list[str], words: str) -> None:
    command = ["run", "--task", task, "--data", str(tmp_path), "--url", "http://127.0.0.1:1"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "run"), *options, "--retries", "0"])
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


@pytest.fixture
def record_of(url: str, tmp_path: Path) -> Callable[..., RunRecord]:
    """Runs a task on the command line with these options and returns its record."""

    def run(task: str, data: Path, *options: str) -> RunRecord:
        command = ["run", "--task", task, "--data", str(data), "--url", url, "--out", str(tmp_path / "run")]
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == 0, result.output
        return RunFolder(tmp_path / "run").read_record()

    return run


def test_without_options_every_question_of_the_test_split_is_asked_as_it_is(
    tallyqa: Make, tally: Make, record_of: Make, asked: list[dict[str, Any]]
) -> None:
    record = record_of("tallyqa", tallyqa([tally(number, issimple=number > 1) for number in range(3)]))
    assert record.selection.model_dump(include=set(Criteria.model_fields)) == Criteria(split="test").model_dump()
    assert (record.selection.seed, record.selection.questions, record.shard) == (0, 3, None)
    assert (record.lens, record.max_patches, record.max_new_tokens, record.prompt) == (False, None, None, "{question}")
    assert (record.timeout_s, record.retries, record.concurrency) == (120, 5, 2)
    assert {body["question"] for body in asked[1:]} == {f"How many dogs {number}?" for number in range(3)}


def test_options_on_the_command_line_reach_the_selection(realcqa: Make, block: Make, record_of: Make) -> None:
    charts = {f"PMC{n}_a": [block(qa_id=str(q)) for q in range(n)] for n in range(1, 5)}
    options = ["--split", "train", "--question-type", "Binary", "--question-type", "2E", "--picture-share", "0.67"]
    options += ["--one-question-per-image", "--limit", "3", "--seed", "5", "--shard", "1/2"]
    record = record_of("realcqa", realcqa(charts, test=["PMC1_a"]), *options)
    assert record.selection.model_dump(include=set(Criteria.model_fields)) == {
        **Criteria(split="train").model_dump(),
        "question_types": ("binary", "2e"),
        "picture_share": 0.67,
        "one_question_per_image": True,
        "limit": 3,
        "seed": 5,
    }
    assert (record.selection.eligible, record.selection.questions) == (9, 2), "two of three charts, one question each"
    assert record.shard == ShardRecord(index=1, count=2, questions=1)


def test_the_lens_study_s_protocol(counts: Path, record_of: Make, asked: list[dict[str, Any]]) -> None:
    record = record_of("tallyqa", counts, "--protocol", "lens-study")
    selection = record.selection
    assert (selection.split, selection.simple_only, selection.max_answer, selection.limit) == ("test", True, 5, 5000)
    assert selection.questions == selection.eligible == 24
    assert (record.lens, record.max_new_tokens, record.max_patches) == (True, 32, None)
    assert record.prompt == "{question} Output single word with exact number."
    assert (selection.protocol, "512 x 512" in str(selection.note)) == ("lens-study", True)
    assert all(body["question"].endswith("? Output single word with exact number.") for body in asked)
    assert all(body["max_new_tokens"] == 32 for body in asked)


def test_the_finetune_study_s_protocol(
    realcqa: Make, block: Make, record_of: Make, asked: list[dict[str, Any]]
) -> None:
    charts = {f"PMC{number}_a": [block(qa_id="1"), block(qa_id="2")] for number in range(40)}
    record = record_of("realcqa", realcqa(charts, test=["PMC0_a"]), "--protocol", "finetune-study")
    selection = record.selection
    assert (selection.split, selection.picture_share, selection.one_question_per_image) == ("all", 0.15, True)
    assert (selection.questions, selection.pictures, selection.eligible) == (6, 6, 80), "15 % of 40 charts, one each"
    assert (record.lens, record.max_new_tokens, record.max_patches, record.prompt) == (False, 20, 768, "{question}")
    assert (selection.protocol, "official test list" in str(selection.note)) == ("finetune-study", True)
    assert {(body["max_patches"], body["max_new_tokens"]) for body in asked} == {(768, 20)}


def test_what_is_given_beside_a_protocol_wins(counts: Path, record_of: Make) -> None:
    options = ["--protocol", "lens-study", "--limit", "4", "--no-lens", "--max-new-tokens", "8"]
    record = record_of("tallyqa", counts, *options)
    assert (record.selection.limit, record.selection.questions, record.lens, record.max_new_tokens) == (4, 4, False, 8)
    assert (record.selection.max_answer, record.selection.protocol) == (5, "lens-study")
