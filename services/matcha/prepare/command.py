"""``prepare``: make an artifact folder for a model and a variant, atomically."""

import logging
import sys
import warnings
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import CliApp, CliPositionalArg, SettingsConfigDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from transformers.utils import logging as transformers_logging

from services.common.artifact.manifest import PIX2STRUCT, ManifestError, verify
from services.matcha.prepare.build import Extras, already_prepared, build, steps
from services.matcha.prepare.source import PrepareError, find
from services.matcha.variants import FormName

INTERRUPTED = 130  # the shells' exit status after Ctrl-C


class Prepare(BaseModel):
    """Make an artifact folder from a MatCha model: weights in the variant's form, tokenizer, header font, manifest.

    The folder appears only once it is complete. The variant openvino is served from onnx-fp32.
    """

    model_config = SettingsConfigDict(cli_kebab_case=True, cli_implicit_flags=True)

    model: CliPositionalArg[str] = Field(description="A folder, or a Hugging Face id such as google/matcha-chartqa.")
    out: Path = Field(description="Folder to create.")
    variant: FormName = Field(description="Numeric form of the weights.")
    revision: str | None = Field(default=None, description="Branch or commit on the hub.")
    processor: str = Field(
        default="google/matcha-base", description="Model whose tokenizer to use if the model has none."
    )
    font: Path | None = Field(default=None, description="Header font, a TrueType file; defaults to the training font.")
    calibration: Path | None = Field(
        default=None,
        description="Folder of charts like those to be served, to calibrate openvino-int8.",
    )
    force: bool = Field(default=False, description="Replace the folder if it exists.")

    def cli_cmd(self) -> None:
        """Prepare, with progress on standard error."""
        try:
            self._prepare(Console(stderr=True))
        except (PrepareError, ManifestError) as error:
            sys.exit(f"cannot prepare: {error}")
        except KeyboardInterrupt:
            print("stopped; nothing was left behind", file=sys.stderr)  # noqa: T201 where the progress is shown
            sys.exit(INTERRUPTED)

    def _prepare(self, console: Console) -> None:
        if self.font and not self.font.is_file():
            message = f"there is no font {self.font}"
            raise PrepareError(message)
        checkpoint = find(self.model, self.revision)
        checkpoint.require_pix2struct()
        if checkpoint.manifest and checkpoint.manifest.variant != "fp32":
            message = (
                f"{self.model} is already prepared as {checkpoint.manifest.variant}: prepare from the fp32 weights"
            )
            raise PrepareError(message)
        if checkpoint.manifest:
            verify(checkpoint.folder, PIX2STRUCT)  # never give modified weights the original's name
        extras = Extras(self.processor, self.font, self.calibration)
        if not self.force and already_prepared(self.out, checkpoint, self.variant, extras):
            console.print(f"{self.out} is already prepared: nothing to do", highlight=False, soft_wrap=True)
            return
        with _progress(console) as progress:
            task = progress.add_task("", total=steps(self.variant))

            def report(step: str) -> None:
                progress.update(task, description=step, advance=1)
                if not console.is_terminal:
                    console.print(f"{self.variant}: {step}", highlight=False, soft_wrap=True)

            build(checkpoint, self.variant, self.out, extras, report)
        console.print(f"written: {self.out}", highlight=False, soft_wrap=True)


def prepare(arguments: list[str]) -> None:
    """Run ``prepare`` on a command line's arguments; exits with 1 and an explanation on failure."""
    # The exporter and the quantizer log every step.
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        CliApp.run(Prepare, cli_args=arguments)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        print("\n".join(["invalid options (see prepare --help):", *lines]), file=sys.stderr)  # noqa: T201 what the command prints
        sys.exit(2)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
