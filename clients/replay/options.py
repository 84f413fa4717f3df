"""Parsers for the command line's tasks, protocols, shards and prompts."""

import typer

from clients.replay.tasks import TASKS
from clients.replay.tasks.protocols import PROTOCOLS, Protocol
from clients.replay.tasks.selection import Shard
from clients.replay.tasks.task import Task


def parse_task(name: str) -> Task:
    """The task of this name."""
    if name not in TASKS:
        message = f"{name!r} is not one of {', '.join(TASKS)}."
        raise typer.BadParameter(message)
    return TASKS[name]


def parse_protocol(name: str) -> Protocol:
    """The protocol of this name."""
    if name not in PROTOCOLS:
        message = f"{name!r} is not one of {', '.join(PROTOCOLS)}."
        raise typer.BadParameter(message)
    return PROTOCOLS[name]


def set_defaults(context: typer.Context, protocol: Protocol | None) -> Protocol | None:
    """Make a protocol's options the defaults, so that options given on the command line still win."""
    if protocol:
        context.default_map = dict(protocol.options)
    return protocol


def parse_shard(text: str) -> Shard:
    """Parse a shard, ``i/n``."""
    try:
        return Shard.parse(text)
    except ValueError as error:
        message = f"{text!r} is not a shard: give i/n with i from 0 to n - 1."
        raise typer.BadParameter(message) from error


def check_prompt(text: str) -> str:
    """Require a ``{question}`` placeholder in the prompt."""
    if "{question}" not in text:
        message = "must contain {question}."
        raise typer.BadParameter(message)
    return text
