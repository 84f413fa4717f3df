"""What the commands named ``prepare`` share: options, progress, and failures as sentences."""

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import CliApp, CliPositionalArg, SettingsConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.common.artifact.cache import artifact_folder
from services.common.artifact.manifest import Architecture, ManifestError, PrepareError, verify
from services.common.artifact.source import Checkpoint

INTERRUPTED = 130  # the shells' exit status after Ctrl-C

Report = Callable[[str], None]
"""Called with the name of each step as it starts."""


class PrepareOptions(BaseModel):
    """Options of every ``prepare``; each service adds its own and says how in ``prepare``."""

    model_config = SettingsConfigDict(
        cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True, cli_parse_none_str="none"
    )

    model: CliPositionalArg[str] = Field(
        description="A folder (a model as on the hub, or an artifact), or a Hugging Face id (owner/name)."
    )
    variant: str
    out: Path | None = Field(
        default=None,
        description="Folder to create; by default the one that serve looks in, under [TALLYGLASS_HOME].",
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a model on the hub; by default its main branch."
    )
    force: bool = Field(default=False, description="Replace the folder if it exists.")

    @property
    def folder(self) -> Path:
        """The folder to create."""
        return self.out or artifact_folder(self.model, self.revision, self.variant)

    @abstractmethod
    def prepare(self, console: Console) -> None:
        """Make the folder.

        Raises:
            PrepareError: it cannot be made.
            ManifestError: the model is an artifact that does not match its manifest.
        """

    def is_done(
        self, checkpoint: Checkpoint, architecture: Architecture, forms: Collection[str], console: Console
    ) -> bool:
        """Whether the model is an artifact in the variant already, and say so, unless a folder is named for it.

        Any other artifact is verified.

        Args:
            checkpoint: the model.
            architecture: what it must be.
            forms: the artifact forms that the variant can be made from.
            console: where to say it.

        Raises:
            PrepareError: it is an artifact of a form that the variant cannot be made from.
            ManifestError: it does not match its manifest, and must not pass for the original.
        """
        if not checkpoint.manifest:
            return False
        form = verify(checkpoint.folder, architecture).variant
        if form == self.variant and not self.out:
            say(console, f"{self.model} is already an artifact in {form}: nothing to do, serve it as it is")
            return True
        if form not in forms:
            message = f"{self.model} is already prepared as {form}: prepare from the original weights"
            raise PrepareError(message)
        return False

    def cli_cmd(self) -> None:
        """Prepare, with progress on standard error."""
        try:
            self.prepare(Console(stderr=True))
        except (PrepareError, ManifestError) as error:
            sys.exit(f"cannot prepare: {error}")
        except KeyboardInterrupt:
            print("stopped; nothing was left behind", file=sys.stderr)  # noqa: T201 where the progress is shown
            sys.exit(INTERRUPTED)


def run(command: type[PrepareOptions], arguments: list[str]) -> None:
    """Run ``prepare`` on a command line's arguments; exits with 1 and an explanation on failure.

    Warnings of the hub's client are silenced, so that those of ``prepare`` are seen; what fails is told by an error.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    command.__doc__ = cleandoc(command.__doc__ or "")  # --help shows it
    try:
        CliApp.run(command, cli_args=arguments)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        print("\n".join(["invalid options (see prepare --help):", *lines]), file=sys.stderr)  # noqa: T201 what the command prints
        sys.exit(2)


@contextmanager
def progress(console: Console, label: str, steps: int) -> Iterator[Report]:
    """Yield a ``Report`` that shows steps as a progress bar, or as lines where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps)

        def report(step: str) -> None:
            bar.update(task, description=step, advance=1)
            if not console.is_terminal:
                say(console, f"{label}: {step}")

        yield report


def say(console: Console, line: str) -> None:
    """Print a line as it is, unbroken and without colours."""
    console.print(line, highlight=False, soft_wrap=True)
