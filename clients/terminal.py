"""What every command on a terminal needs."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Final

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_ANY_WIDTH: Final = 1 << 16


class Fitting:
    """A table; on a terminal that is too narrow for it, its rows one below the other, so that no name is broken."""

    def __init__(self, table: Table) -> None:
        self.table = table
        for column in table.columns:
            column.no_wrap = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = Measurement.get(console, options.update(max_width=_ANY_WIDTH), self.table).maximum
        if wanted <= options.max_width:
            yield self.table
        else:
            yield from self._listed()

    def _listed(self) -> Iterator[Text]:
        """A row's first cell, and under it each other one with its heading."""
        if self.table.title:
            yield Text(str(self.table.title), style="italic")
        _, *headings = (str(column.header) for column in self.table.columns)
        width = max(map(len, headings))
        for name, *cells in zip(*(column.cells for column in self.table.columns), strict=True):
            yield Text(str(name), style="bold")
            for heading, cell in zip(headings, cells, strict=True):
                if str(cell):
                    yield Text(f"  {heading:{width}}  {cell}")


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
