"""``python -m clients.demo``: start two services, run three replays, write one report and print its path."""

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clients.launcher import StartupError, running
from clients.terminal import run

SAMPLES = Path(__file__).parents[1] / "samples"


@dataclass(frozen=True, slots=True)
class Replay:
    """A sample dataset and the service that answers it."""

    sample: str
    task: str
    service: str
    options: tuple[str, ...] = ()


REPLAYS = (
    Replay("realcqa", "realcqa", "matcha"),
    Replay("realcqa-shifted", "realcqa", "matcha"),
    Replay("tallyqa", "tallyqa", "qwen_vl", ("--lens",)),
)


def main(
    out: Annotated[Path | None, typer.Option(help="Folder for runs and report; default runs/<time>-demo.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions per sample; all by default.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Compute threads per service.")] = 1,
) -> None:
    """Run both services on the embedded models, replay the samples against them, and render the report."""
    console = Console()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))  # unwinds, so that the services are stopped
    out = out or Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-demo"
    if out.exists() and any(out.iterdir()):
        console.print(f"{out} is not empty: choose another folder with --out", soft_wrap=True)
        raise typer.Exit(2)
    out.mkdir(parents=True, exist_ok=True)
    started_s = time.monotonic()
    try:
        _replay_all(out, limit, threads, console)
        report = out / "report"
        _client("report", *(str(out / replay.sample) for replay in REPLAYS), "--out", str(report))
    except StartupError as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error
    except subprocess.CalledProcessError as error:
        raise typer.Exit(error.returncode) from error  # the command has printed why
    except KeyboardInterrupt:
        console.print(f"\ninterrupted; the answers so far are in {out}", soft_wrap=True)
        raise typer.Exit(130) from None
    console.print(f"\nreport: {(report / 'index.html').resolve()}", soft_wrap=True)
    console.print(f"done in {time.monotonic() - started_s:.0f} s; open it in a browser")


def _replay_all(out: Path, limit: int | None, threads: int, console: Console) -> None:
    with ExitStack() as stack:
        console.print("starting both services on the embedded models ...")
        services = {
            name: stack.enter_context(running(name, out / f"{name}.log", "--threads", str(threads)))
            for name in ("matcha", "qwen_vl")
        }
        for replay in REPLAYS:
            limited = ("--limit", str(limit)) if limit else ()
            _client(
                "run",
                *("--task", replay.task, "--data", str(SAMPLES / replay.sample)),
                *("--url", services[replay.service].url, "--out", str(out / replay.sample)),
                *replay.options,
                *limited,
            )


def _client(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "clients.replay", *arguments], check=True)  # noqa: S603 our own module


if __name__ == "__main__":
    run(main)
