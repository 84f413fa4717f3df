"""``prepare``: make an artifact folder for a model and a variant, atomically."""

import warnings

from pydantic import Field
from rich.console import Console

from services.common.artifact import command
from services.common.artifact.build import already_prepared
from services.common.artifact.command import PrepareOptions, progress, say
from services.common.artifact.manifest import QWEN2_VL
from services.common.artifact.source import find
from services.qwen_vl.prepare.build import STEPS, WANTED, build, inputs_sum
from services.qwen_vl.settings import FORMS, Variant


class Prepare(PrepareOptions):
    """Make an artifact folder from a Qwen2-VL model.

    It has the weights in the variant's form, the tokenizer, the chat template and a
    manifest, and appears only once it is complete. Files that stay as they are are
    linked, not copied, where model and folder share a file system.
    """

    variant: Variant = Field(default="bf16", description="Numeric form of the weights.")

    def prepare(self, console: Console) -> None:
        """See ``PrepareOptions``."""
        checkpoint = find(self.model, self.revision, WANTED, QWEN2_VL)
        checkpoint.require(QWEN2_VL)
        if self.is_done(checkpoint, QWEN2_VL, FORMS[self.variant], console):
            return
        inputs = inputs_sum(checkpoint)
        if not self.force and already_prepared(self.folder, QWEN2_VL, checkpoint.source, self.variant, inputs):
            say(console, f"{self.folder} is already prepared: nothing to do")
            return
        with progress(console, self.variant, STEPS) as report:
            build(checkpoint, self.variant, self.folder, report)
        say(console, f"written: {self.folder}")


def prepare(arguments: list[str]) -> None:
    """Run ``prepare`` on a command line's arguments; exits with 1 and an explanation on failure."""
    warnings.simplefilter("ignore")
    command.run(Prepare, arguments)
