"""What every command on a terminal needs."""

import io
import sys
from collections.abc import Callable

import typer


def commands(about: str | None = None) -> typer.Typer:
    """A command line with plain help: the boxes of another would cut the names of options on a narrow terminal."""
    return typer.Typer(
        help=about,
        rich_markup_mode=None,
        no_args_is_help=about is not None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def run(command: Callable[..., None]) -> None:
    """Run the only command of a module."""
    print_anything()
    app = commands()
    app.command()(command)
    app()


def print_anything() -> None:
    """Print characters that the output's encoding lacks, such as in ASCII, as ``?`` instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
