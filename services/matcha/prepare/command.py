"""``prepare``: make an artifact folder for a model and a variant, atomically."""

import warnings
from pathlib import Path

from pydantic import Field
from rich.console import Console

from services.common.artifact import command
from services.common.artifact.build import already_prepared
from services.common.artifact.command import PrepareOptions, progress, say
from services.common.artifact.manifest import PIX2STRUCT, PrepareError
from services.common.artifact.source import find
from services.matcha.header import font_warning
from services.matcha.prepare.build import WANTED, Extras, build, inputs_sum, steps
from services.matcha.variants import FormName


class Prepare(PrepareOptions):
    """Make an artifact folder from a MatCha model.

    It has the weights in the variant's form, the tokenizer, the header font and a
    manifest, and appears only once it is complete. The variant openvino is served
    from onnx-fp32.
    """

    variant: FormName = Field(description="Numeric form of the weights.")
    processor: str = Field(
        default="google/matcha-base", description="Model whose tokenizer to use if the model has none."
    )
    font: Path | None = Field(default=None, description="Header font, a TrueType file; defaults to the training font.")
    calibration: Path | None = Field(
        default=None,
        description="Folder of charts like those to be served, to calibrate openvino-int8.",
    )

    def prepare(self, console: Console) -> None:
        """See ``PrepareOptions``."""
        if self.font and not self.font.is_file():
            message = f"there is no font {self.font}"
            raise PrepareError(message)
        checkpoint = find(self.model, self.revision, WANTED, PIX2STRUCT)
        checkpoint.require(PIX2STRUCT)
        if self.is_done(checkpoint, PIX2STRUCT, ("fp32",), console):
            return
        extras = Extras(self.processor, self.font, self.calibration)
        inputs = inputs_sum(checkpoint, self.variant, extras)
        if not self.force and already_prepared(self.folder, PIX2STRUCT, checkpoint.source, self.variant, inputs):
            say(console, f"{self.folder} is already prepared: nothing to do")
            return
        with progress(console, self.variant, steps(self.variant)) as report:
            manifest = build(checkpoint, self.variant, self.folder, extras, report)
        say(console, f"written: {self.folder}")
        if warning := font_warning(manifest):
            say(console, f"WARNING: {warning}")


def prepare(arguments: list[str]) -> None:
    """Run ``prepare`` on a command line's arguments; exits with 1 and an explanation on failure."""
    warnings.simplefilter("ignore")
    command.run(Prepare, arguments)
