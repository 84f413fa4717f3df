"""The command line: ``python -m clients.replay run`` and ``report``."""

import asyncio
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from clients.replay.client import AskOptions
from clients.replay.errors import ReplayError
from clients.replay.report import report_runs, summary_table
from clients.replay.run import RunConfig, run
from clients.replay.tasks import TASKS
from clients.replay.tasks.sample import Split
from clients.replay.tasks.task import Task

INTERRUPTED: Final = 130  # as shells report a command that Ctrl-C ended

_CONSOLE: Final = Console()
_ERRORS: Final = Console(stderr=True)


def _task(name: str) -> Task:
    if name not in TASKS:
        message = f"{name!r} is none of {', '.join(TASKS)}."
        raise typer.BadParameter(message)
    return TASKS[name]


app = typer.Typer(
    help="Replay RealCQA and TallyQA against a service, and report quality, layers and latency.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("run")
def run_command(  # noqa: PLR0913 - one parameter per option
    *,
    task: Annotated[Task, typer.Option(parser=_task, metavar="|".join(TASKS), help="Layout and scoring of the data.")],
    data: Annotated[Path, typer.Option(help="The data set's folder, as its authors lay it out.")],
    url: Annotated[str, typer.Option(help="The service, for example http://127.0.0.1:8001.")],
    out: Annotated[Path, typer.Option(help="Run folder to make; one that holds a run is refused.")],
    split: Annotated[Split, typer.Option(help="Which questions.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Ask this many, drawn uniformly over the split.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of that draw, and of the choice of example pictures.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Pictures asked about at the same time.")] = 2,
    lens: Annotated[bool, typer.Option("--lens/--no-lens", help="Ask for the lens trace (Qwen2-VL).")] = False,
    max_patches: Annotated[int | None, typer.Option(min=1, help="Patches per chart (MatCha).")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, in seconds.")] = 120.0,
) -> None:
    """Ask a service every question of a data set.

    Outcomes are written to RUN/outcomes.jsonl as they arrive, so a run that is stopped can still be reported.
    Exit codes: 0 done (failed questions are counted, not fatal), 1 it could not be done, 2 wrong usage, 130 Ctrl-C.
    """
    options = AskOptions(max_patches=max_patches, lens=lens, timeout_s=timeout_s)
    config = RunConfig(task, data, url, out, split, limit, seed, concurrency, options)
    try:
        summary = asyncio.run(run(config, _CONSOLE))
    except ReplayError as error:
        _fail(error)
    except KeyboardInterrupt:
        _ERRORS.print(
            f"Stopped. What was answered is in {out}, and `report` reads it.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if not summary.answered:
        _fail(f"All {summary.failed} questions failed; {out} says how.")
    _CONSOLE.print(
        f"{summary.answered} answered, {summary.failed} failed, in {summary.wall_s:.1f} s: {out}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command("report")
def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Folder to write index.html and report.json to.")],
    *,
    seed: Annotated[int, typer.Option(help="Seed of the choice of examples.")] = 0,
) -> None:
    """Report on runs: one self-contained page and one JSON file. Needs no service.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
    """
    try:
        reports = report_runs(runs, out, seed)
    except ReplayError as error:
        _fail(error)
    _CONSOLE.print(summary_table(reports))
    _CONSOLE.print(str(out / "index.html"), highlight=False, markup=False, soft_wrap=True)


def _fail(message: object) -> NoReturn:
    _ERRORS.print(str(message), style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
