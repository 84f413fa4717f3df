"""The command line: ``python -m loadtests run``, ``variants``, ``table`` and ``generator``."""

import signal
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.measurements import show, write
from clients.terminal import Fitting, commands, print_anything
from loadtests import profile as profiles
from loadtests.errors import LoadTestError
from loadtests.generator import measure_generator
from loadtests.results.summary import Summary, summarize
from loadtests.results.table import measurements, render, warnings
from loadtests.run import Plan, run
from loadtests.soak.drills import Amount, Drill, soak
from loadtests.soak.target import Target

_CONSOLE: Final = Console(soft_wrap=True, highlight=False)
_PAGE: Final = ("--autostart", "--autoquit", "0", "--web-host", "127.0.0.1")

app = commands("Load-test a service.")


class ServiceName(StrEnum):
    """The services that can be load-tested."""

    MATCHA = "matcha"
    QWEN_VL = "qwen_vl"


ServiceOption = Annotated[ServiceName, typer.Option(help="Service to load.")]
ProfileOption = Annotated[str, typer.Option(help="Name of a profile, or path of a .toml file.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override a profile field, e.g. rate_per_s=20, lens=true.")
]
OutOption = Annotated[Path | None, typer.Option(help="Run folder; default runs/<time>-<name>.")]
LocustArguments = Annotated[
    list[str] | None, typer.Argument(help="Options passed to Locust, after --: -- --processes 2.")
]


@app.command("run")
def run_command(  # noqa: PLR0913 - one parameter per option
    *,
    service: ServiceOption,
    profile: ProfileOption = "smoke",
    variant: Annotated[str | None, typer.Option(help="Variant to start; by default the service's.")] = None,
    url: Annotated[str | None, typer.Option(help="A running service, instead of starting one.")] = None,
    data: Annotated[Path | None, typer.Option(help="Dataset folder; the samples by default.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder of the started service.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Compute threads of the started service.")] = 1,
    page: Annotated[bool, typer.Option("--page", help="Serve Locust's page on 127.0.0.1:8089 during the run.")] = False,
    change: SetOption = None,
    out: OutOption = None,
    locust: LocustArguments = None,
) -> None:
    """Load one service, and write a run folder that `python -m clients.replay report` can also read.

    The API key of a running service is taken from TALLYGLASS_API_KEY.
    """
    options = _service_options(variant, model, threads)
    loaded = profiles.load(profile, change or ())
    out = out or _default_out(f"load-{service}-{loaded.name}")
    shown = (*(_PAGE if page else ("--headless",)), *(locust or ()))
    summary = run(Plan(service, loaded, out, url, data, options, shown))
    _tell([summary], out, f"make load SERVICE={service} PROFILE={loaded.name}")


@app.command("variants")
def variants_command(
    *,
    variants: Annotated[list[str], typer.Argument(help="Variants, each optionally as variant=model-folder.")],
    service: ServiceOption = ServiceName.MATCHA,
    profile: ProfileOption = "steady",
    threads: Annotated[int, typer.Option(min=1, help="Compute threads per service.")] = 1,
    change: SetOption = None,
    out: OutOption = None,
) -> None:
    """Load several variants in turn with the same requests, and show them in one table."""
    loaded = profiles.load(profile, change or ())
    out = out or _default_out(f"load-variants-{loaded.name}")
    summaries = []
    for entry in variants:
        variant, _, folder = entry.partition("=")
        options = _service_options(variant, Path(folder) if folder else None, threads)
        _CONSOLE.print(f"{variant} ...")
        try:
            summaries.append(run(Plan(service, loaded, out / variant, service_options=options)))
        except LoadTestError as error:  # e.g. a processor without bfloat16: the others can still be compared
            _CONSOLE.print(f"{variant} is skipped: {error}", style="yellow")
    if not summaries:
        message = "no variant could be loaded"
        raise LoadTestError(message)
    _tell(summaries, out, f"make load-variants PROFILE={loaded.name}")


@app.command("table")
def table_command(runs: Annotated[list[Path], typer.Argument(help="Folders of load tests.")]) -> None:
    """Show load tests side by side."""
    summaries = [summarize(folder) for folder in runs]
    _CONSOLE.print(Fitting(render(summaries)))
    for warning in warnings(summaries):
        _CONSOLE.print(warning, style="yellow")


@app.command("soak")
def soak_command(
    *,
    service: ServiceOption = ServiceName.MATCHA,
    drill: Annotated[list[Drill] | None, typer.Option(help="Drill to do; all of them by default.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Duration of each overload, in seconds.")] = Amount.seconds,
    rounds: Annotated[int, typer.Option(min=1, help="Count of kills, and of SIGTERMs.")] = Amount.rounds,
    aborts: Annotated[int, typer.Option(min=32, help="Number of requests that are aborted.")] = Amount.aborts,
    out: OutOption = None,
) -> None:
    """Overload a service, kill its worker, stop it and hang up on it; exits with 1 if it does not hold."""
    out = out or _default_out(f"soak-{service}")
    target, amount = Target.ours(service), Amount(seconds, rounds, aborts)
    found = []
    for measurements_of_drill in soak(target, drill or list(Drill), amount, out, f"make soak SERVICE={service}"):
        found += measurements_of_drill
        show(measurements_of_drill, target.name)
        write(found, out)
    _CONSOLE.print(str(out))
    if any(each.holds is False for each in found):
        raise typer.Exit(1)


@app.command("generator")
def generator_command(
    *,
    rate: Annotated[float, typer.Option(min=1, help="Requests per second.")] = 300,
    duration_s: Annotated[float, typer.Option(min=1, help="Duration of the load, in seconds.")] = 20,
    out: OutOption = None,
) -> None:
    """Load a no-op server with the generator on one core, to measure the generator's own delay."""
    out = out or _default_out("load-generator")
    summary = measure_generator(rate, duration_s, out)
    _CONSOLE.print(Fitting(render([summary])))
    lag = summary.lag
    _CONSOLE.print(f"scheduling lag: p50 {lag.p50_ms:.2f} ms, p99 {lag.p99_ms:.2f} ms, max {lag.max_ms:.1f} ms: {out}")


def _service_options(variant: str | None, model: Path | None, threads: int) -> tuple[str, ...]:
    return (
        *(("--variant", variant) if variant else ()),
        *(("--model", str(model)) if model else ()),
        *("--threads", str(threads)),
    )


def _default_out(name: str) -> Path:
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"


def _tell(summaries: Sequence[Summary], out: Path, how: str) -> None:
    _CONSOLE.print(Fitting(render(summaries)))
    for warning in warnings(summaries):
        _CONSOLE.print(warning, style="yellow")
    write([measurement for summary in summaries for measurement in measurements(summary, how)], out)
    _CONSOLE.print(str(out))


def main() -> None:
    """Run the command line; errors print one line and exit with code 1."""
    print_anything()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))  # so that the started service is stopped
    try:
        app()
    except LoadTestError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
