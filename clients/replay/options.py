"""The command line's own values: tasks, protocols, shards and prompts, from what a user typed."""

import typer

from clients.replay.tasks import TASKS
from clients.replay.tasks.protocols import PROTOCOLS, Protocol
from clients.replay.tasks.selection import Shard
from clients.replay.tasks.task import Task


def parse_task(name: str) -> Task:
    """The task of this name."""
    if name not in TASKS:
        message = f"{name!r} is none of {', '.join(TASKS)}."
        raise typer.BadParameter(message)
    return TASKS[name]


def parse_protocol(name: str) -> Protocol:
    """The protocol of this name."""
    if name not in PROTOCOLS:
        message = f"{name!r} is none of {', '.join(PROTOCOLS)}."
        raise typer.BadParameter(message)
    return PROTOCOLS[name]


def set_defaults(context: typer.Context, protocol: Protocol | None) -> Protocol | None:
    """Make a protocol's options the defaults of all others, so that what is typed still wins."""
    if protocol:
        context.default_map = dict(protocol.options)
    return protocol


def parse_shard(text: str) -> Shard:
    """The shard ``i/n``."""
    try:
        return Shard.parse(text)
    except ValueError as error:
        message = f"{text!r} is no shard: give i/n, i from 0 to n - 1."
        raise typer.BadParameter(message) from error


def check_prompt(text: str) -> str:
    """A prompt that has a place for the question."""
    if "{question}" not in text:
        message = "needs {question} where the question goes."
        raise typer.BadParameter(message)
    return text
