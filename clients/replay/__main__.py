"""The command line: ``python -m clients.replay run``, ``merge``, ``report`` and ``compare``."""

import asyncio
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from clients.replay.asking.client import AskOptions
from clients.replay.asking.runner import RunConfig, RunSummary, run
from clients.replay.errors import ReplayError
from clients.replay.options import check_prompt, parse_protocol, parse_shard, parse_task, set_defaults
from clients.replay.run.merge import merge
from clients.replay.tasks import TASKS
from clients.replay.tasks.criteria import Criteria
from clients.replay.tasks.protocols import PROTOCOLS, Protocol
from clients.replay.tasks.sample import Split
from clients.replay.tasks.selection import Shard
from clients.replay.tasks.task import Task

INTERRUPTED: Final = 130  # as shells report a command that Ctrl-C ended

_CONSOLE: Final = Console()
_ERRORS: Final = Console(stderr=True)


app = typer.Typer(
    help="Replay RealCQA and TallyQA against a service, and report quality, layers and latency.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_Types = Annotated[
    list[str] | None,
    typer.Option("--question-type", help="Only of this type of answer, kind or taxonomy id; may be given again."),
]


@app.command("run")
def run_command(  # noqa: PLR0913 - one parameter per option
    *,
    task: Annotated[
        Task, typer.Option(parser=parse_task, metavar="|".join(TASKS), help="Layout and scoring of the data.")
    ],
    data: Annotated[Path, typer.Option(help="The dataset's folder, as its authors or the hub lay it out.")],
    url: Annotated[str, typer.Option(help="The service, for example http://127.0.0.1:8001.")],
    out: Annotated[Path, typer.Option(help="Run folder to make; one that holds a run is refused without --resume.")],
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            parser=parse_protocol,
            callback=set_defaults,
            is_eager=True,
            metavar="|".join(PROTOCOLS),
            help="A study's protocol: the options that are not given here are its own.",
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Which questions.")] = "test",
    simple_only: Annotated[bool, typer.Option("--simple-only", help="Only TallyQA's simple questions.")] = False,
    max_answer: Annotated[int | None, typer.Option(min=0, help="Only counts up to this.")] = None,
    question_type: _Types = None,
    picture_share: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Draw this share of images.")] = None,
    one_question_per_image: Annotated[
        bool, typer.Option("--one-question-per-image", help="Draw one question of each image.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask this many, drawn uniformly over the split.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws, and of the choice of example images.")] = 0,
    shard: Annotated[
        Shard | None, typer.Option(parser=parse_shard, metavar="i/n", help="Every n-th image, from number i on.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="On resume, ask failed questions again.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Images asked about at the same time.")] = 2,
    lens: Annotated[bool, typer.Option("--lens/--no-lens", help="Ask for the lens trace (Qwen2-VL).")] = False,
    max_patches: Annotated[int | None, typer.Option(min=1, help="Patches per chart (MatCha).")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    prompt: Annotated[str, typer.Option(callback=check_prompt, help="What is sent, {question} in it.")] = "{question}",
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, in seconds.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts while the service is busy or away.")] = 5,
) -> None:
    """Ask a service every question of a dataset.

    Outcomes are written to RUN/outcomes.jsonl as they arrive: a run that is stopped, or killed, can be reported, and
    resumed with --resume. Exit codes: 0 done (failed questions are counted, not fatal), 1 it could not be done,
    2 wrong usage, 130 Ctrl-C.
    """
    criteria = Criteria(
        split=split,
        simple_only=simple_only,
        max_answer=max_answer,
        question_types=tuple(name.lower() for name in question_type or ()),
        picture_share=picture_share,
        one_question_per_image=one_question_per_image,
        limit=limit,
        seed=seed,
        protocol=protocol.name if protocol else None,
        note=protocol.note if protocol else None,
    )
    _require_fitting(task, criteria, protocol)
    options = AskOptions(max_patches, lens, timeout_s, max_new_tokens, prompt, retries)
    _report_on(_run(RunConfig(task, data, url, out, criteria, concurrency, options, shard, resume, retry_failed)), out)


def _require_fitting(task: Task, criteria: Criteria, protocol: Protocol | None) -> None:
    if protocol and protocol.task != task.name:
        message = f"{protocol.name} is a protocol of {protocol.task}."
        raise typer.BadParameter(message)
    if criteria.split not in task.splits:
        message = f"{task.name} has the splits {', '.join(task.splits)}."
        raise typer.BadParameter(message)
    if criteria.simple_only and (task.name, criteria.split) != ("tallyqa", "test"):
        message = "--simple-only is for TallyQA's test split: nothing else says which questions are simple."
        raise typer.BadParameter(message)
    if criteria.max_answer is not None and task.name != "tallyqa":
        message = "--max-answer is for counts: TallyQA's."
        raise typer.BadParameter(message)


def _run(config: RunConfig) -> RunSummary:
    try:
        return asyncio.run(run(config, _CONSOLE))
    except ReplayError as error:
        _fail(error)
    except KeyboardInterrupt:
        _say(_ERRORS, f"Stopped. What was answered is in {config.out}: `report` reads it, --resume goes on with it.")
        raise typer.Exit(INTERRUPTED) from None


def _report_on(summary: RunSummary, out: Path) -> None:
    if summary.failed and not summary.answered:
        _fail(f"All {summary.failed} questions failed; {out} says how.")
    before = f" ({summary.before} before)" if summary.before else ""
    _say(_CONSOLE, f"{summary.answered} answered, {summary.failed} failed{before}, in {summary.wall_s:.1f} s: {out}")


@app.command("merge")
def merge_command(
    shards: Annotated[list[Path], typer.Argument(help="Run folders, one of each shard.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
) -> None:
    """Put the shards of a run together.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
    try:
        record = merge(shards, out)
    except ReplayError as error:
        _fail(error)
    _say(_CONSOLE, f"{len(shards)} shards of {record.selection.questions} questions: {out}")


@app.command("report")
def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Folder to write index.html and report.json to.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed of the choice of examples, and of the resampling.")] = 0,
) -> None:
    """Report on runs: one self-contained page and one JSON file. Needs no service.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
    from clients.replay.report import report_runs, summary_table  # noqa: PLC0415 - matplotlib takes a second to load

    try:
        reports = report_runs(runs, out, seed)
    except ReplayError as error:
        _fail(error)
    _CONSOLE.print(summary_table(reports))
    _say(_CONSOLE, str(out / "index.html"))


@app.command("compare")
def compare_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one task; the others stand against the first.")],
    out: Annotated[Path, typer.Option(help="Folder to write index.html and compare.json to.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
) -> None:
    """Set runs side by side: differences with paired tests, quality against latency. Needs no service.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
    from clients.replay.report import compare_runs  # noqa: PLC0415 - as above

    if len(runs) < 2:  # noqa: PLR2004 - one run is compared with nothing
        message = "needs two runs or more."
        raise typer.BadParameter(message)
    try:
        sentences = compare_runs(runs, out, seed)
    except ReplayError as error:
        _fail(error)
    for sentence in sentences:
        _say(_CONSOLE, sentence)
    _say(_CONSOLE, str(out / "index.html"))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _fail(message: object) -> NoReturn:
    _ERRORS.print(str(message), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
