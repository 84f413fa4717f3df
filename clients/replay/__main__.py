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
from clients.terminal import Fitting, commands, print_anything
from services.wire import __version__

INTERRUPTED: Final = 130  # the shells' exit code for Ctrl-C

_CONSOLE: Final = Console()
_ERRORS: Final = Console(stderr=True)


def _say_version(asked: bool) -> None:  # noqa: FBT001 typer's callbacks get their value so
    if asked:
        typer.echo(f"tallyglass {__version__}")
        raise typer.Exit


app = commands("Replay RealCQA and TallyQA against a service, and report quality, latency and layer traces.")
_Types = Annotated[
    list[str] | None,
    typer.Option("--question-type", help="Only this answer type, kind or taxonomy id; repeatable."),
]


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version.")
    ] = False,
) -> None:
    """Options of no command in particular."""


@app.command("run")
def run_command(  # noqa: PLR0913 - one parameter per option
    *,
    task: Annotated[
        Task, typer.Option(parser=parse_task, metavar="|".join(TASKS), help="Dataset, which sets layout and scoring.")
    ],
    data: Annotated[Path, typer.Option(help="Dataset folder, in its authors' or the hub's layout.")],
    url: Annotated[str, typer.Option(help="URL of the service, for example http://127.0.0.1:8001.")],
    out: Annotated[Path, typer.Option(help="Run folder to create; an existing run requires --resume.")],
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            parser=parse_protocol,
            callback=set_defaults,
            is_eager=True,
            metavar="|".join(PROTOCOLS),
            help="A study's protocol: sets the defaults of the other options.",
        ),
    ] = None,
    split: Annotated[Split, typer.Option(help="Split of the dataset to ask.")] = "test",
    simple_only: Annotated[bool, typer.Option("--simple-only", help="Only TallyQA's simple questions.")] = False,
    max_answer: Annotated[
        int | None, typer.Option(min=0, help="Only questions with a count up to this; all by default.")
    ] = None,
    question_type: _Types = None,
    picture_share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Sample this share of images, from 0 to 1; all by default.")
    ] = None,
    one_question_per_image: Annotated[
        bool, typer.Option("--one-question-per-image", help="Sample one question per image.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask this many questions, sampled uniformly; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for sampling, and for choosing example images.")] = 0,
    shard: Annotated[
        Shard | None,
        typer.Option(
            parser=parse_shard,
            metavar="i/n",
            help="Every n-th image, starting at i = 0; all by default.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out, if there is one.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume, ask failed questions again.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Images processed concurrently.")] = 2,
    lens: Annotated[bool, typer.Option("--lens/--no-lens", help="Request the lens trace (Qwen2-VL).")] = False,
    max_patches: Annotated[
        int | None, typer.Option(min=1, help="Patches per chart (MatCha); the service's own by default.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens; the service's own by default.")
    ] = None,
    prompt: Annotated[str, typer.Option(callback=check_prompt, help="Prompt with {question} in it.")] = "{question}",
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Timeout per request, in seconds.")] = 120.0,
    retries: Annotated[int, typer.Option(min=0, help="Retries while the service is busy or unreachable.")] = 5,
) -> None:
    """Ask a service every question of a dataset.

    Outcomes are written to RUN/outcomes.jsonl as they arrive: a run that was interrupted or killed can be reported, and
    resumed with --resume. The service's API key is taken from TALLYGLASS_API_KEY. Exit codes: 0 success (failed
    questions are counted, and fatal only if the whole run has no answer), 1 error, 2 invalid usage, 130 Ctrl-C.
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
        message = f"{protocol.name} is a protocol for {protocol.task}."
        raise typer.BadParameter(message)
    if criteria.split not in task.splits:
        message = f"{task.name} has the splits {', '.join(task.splits)}."
        raise typer.BadParameter(message)
    if criteria.simple_only and (task.name, criteria.split) != ("tallyqa", "test"):
        message = "--simple-only requires TallyQA's test split: no other split marks simple questions."
        raise typer.BadParameter(message)
    if criteria.max_answer is not None and task.name != "tallyqa":
        message = "--max-answer requires TallyQA: only its answers are counts."
        raise typer.BadParameter(message)


def _run(config: RunConfig) -> RunSummary:
    try:
        return asyncio.run(run(config, _CONSOLE))
    except ReplayError as error:
        _fail(error)
    except KeyboardInterrupt:
        _say(_ERRORS, f"Interrupted. The answers so far are in {config.out}: `report` reads them, --resume continues.")
        raise typer.Exit(INTERRUPTED) from None


def _report_on(summary: RunSummary, out: Path) -> None:
    if summary.fruitless:
        _fail(f"All {summary.before + summary.failed} questions failed; see {out}.")
    before = f" ({summary.before} done earlier)" if summary.before else ""
    _say(_CONSOLE, f"{summary.answered} answered, {summary.failed} failed{before}, in {summary.wall_s:.1f} s: {out}")


@app.command("merge")
def merge_command(
    shards: Annotated[list[Path], typer.Argument(help="Run folders, one per shard.")],
    out: Annotated[Path, typer.Option(help="Run folder to create.")],
) -> None:
    """Merge the shards of a run.

    Exit codes: 0 success, 1 error, 2 invalid usage.
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
    seed: Annotated[int, typer.Option(help="Seed for choosing examples and for resampling.")] = 0,
) -> None:
    """Report on runs in one self-contained page and one JSON file. Needs no service.

    Exit codes: 0 success, 1 error, 2 invalid usage.
    """
    from clients.replay.report import report_runs, summary_table  # noqa: PLC0415 - matplotlib takes a second to load

    try:
        reports = report_runs(runs, out, seed)
    except ReplayError as error:
        _fail(error)
    _CONSOLE.print(Fitting(summary_table(reports)))
    _say(_CONSOLE, str(out / "index.html"))


@app.command("compare")
def compare_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one task; the first is the reference.")],
    out: Annotated[Path, typer.Option(help="Folder to write index.html and compare.json to.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed for resampling.")] = 0,
) -> None:
    """Compare runs by paired tests of their differences. Needs no service.

    Exit codes: 0 success, 1 error, 2 invalid usage.
    """
    from clients.replay.report import compare_runs  # noqa: PLC0415 - as above

    if len(runs) < 2:  # noqa: PLR2004 - a comparison takes two
        message = "needs at least two runs."
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


def main() -> None:
    """Run the command that the command line names."""
    print_anything()
    app()


if __name__ == "__main__":
    main()
