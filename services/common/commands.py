"""The commands of a service: ``python -m services.NAME [serve | prepare | inspect]``."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from services.common.artifact.inspect import inspect
from services.wire import __version__

_USAGE = """\
{name} [serve] [OPTIONS]
    {what} over HTTP
{name} prepare [OPTIONS] MODEL
    make an artifact folder for a model and a variant
{name} inspect FOLDER
    print a folder's manifest and verify its checksums
{name} --version

Each command has --help; the options of serve follow.
"""


def run(service: str, what: str, extra: str, serve: Callable[[list[str]], None], arguments: list[str]) -> None:
    """Run the command named by the first argument, by default ``serve``.

    Args:
        service: the service's package, which has a ``prepare.command`` with a function ``prepare``.
        what: what the service does, for the help text.
        extra: the extra of this project that ``prepare`` needs.
        serve: serves, given the options.
        arguments: the command line.
    """
    name = _name(service)
    usage = _USAGE.format(name=name, what=what)
    command, rest = (arguments[0], arguments[1:]) if arguments[:1] and arguments[0].isalpha() else ("serve", arguments)
    sys.argv[0] = name if command == "serve" else f"{name} {command}"  # argparse shows it in the usage
    if arguments == ["--version"]:
        print(f"tallyglass {__version__}")  # noqa: T201 what the command prints
    elif command == "prepare":
        _prepare(service, extra, rest)
    elif command == "inspect":
        inspect(rest)
    elif command == "serve":
        if "--help" in rest or "-h" in rest:
            print(usage)  # noqa: T201 part of --help
        serve(rest)
    else:
        sys.exit(f"unknown command {command!r}; the commands are:\n{usage}")


def _name(service: str) -> str:
    """What the user typed: a module that is run is known to Python as ``__main__.py``."""
    script = Path(sys.argv[0]).name
    return script if script.startswith("tallyglass-") else f"python -m {service}"


def _prepare(service: str, extra: str, arguments: list[str]) -> None:
    try:
        command = import_module(f"{service}.prepare.command")  # for packages that serving may not need
        command.prepare(arguments)
    except ModuleNotFoundError as error:
        sys.exit(f"cannot prepare: the package {error.name} is not installed: install the extra {extra}")
