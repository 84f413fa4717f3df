"""Artifact folders made quickly: fake weights and graphs, everything else real."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from pydantic_settings import CliApp
from safetensors.numpy import save_file

from services.common.artifact.manifest import Manifest, verify
from services.common.artifact.source import find
from services.matcha.prepare.build import WANTED, Extras, build
from services.matcha.prepare.command import Prepare

MODEL = Path(__file__).parents[3] / "models/tiny-matcha"
ARCHITECTURE: Final = "Pix2StructForConditionalGeneration"
FONTS = Path(mpl.__file__).parent / "mpl-data/fonts/ttf"
SANS, MONO = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSansMono.ttf"


@dataclass
class Weights:
    """Fakes of the loaded model, the export and the quantization."""

    asked: list[tuple[Path, str, dict[str, Any]]] = field(default_factory=list)
    fails: BaseException | None = None
    saved: Path | None = None
    calibrated: int | None = None

    @property
    def config(self) -> "Weights":
        return self

    generation_config = config

    def load(self, folder: Path, form: str, **options: Any) -> "Weights":
        self.asked.append((folder, form, options))
        return self

    def save_pretrained(self, folder: Path, **_: object) -> None:
        write_weights(folder / "model.safetensors", "float16")
        if self.fails:
            raise self.fails
        self.saved = folder

    def export(self, graph: str, folder: Path, _: object) -> None:
        logging.getLogger("torch.onnx").warning("an operator is missing")
        (folder / graph).write_text("fp32")

    def quantize(self, exported: Path, folder: Path, images: list[Any]) -> None:
        for path in exported.glob("*.onnx"):
            (folder / path.name).write_text("int8")
        self.calibrated = len(images)


def write_weights(path: Path, dtype: str) -> None:
    """A file of weights that no model could use."""
    save_file({"weight": np.zeros(5, dtype=dtype)}, path)


def made(model: Path, out: Path, variant: str = "fp32", **extras: Any) -> Manifest:
    """Build a folder, verify it, and return its manifest."""
    build(find(str(model), None, WANTED), variant, out, Extras(**extras), lambda _: None)
    return verify(out, ARCHITECTURE)


def prepare(model: Path, out: Path, *options: str, variant: str = "fp32") -> None:
    """Run the command in this process."""
    CliApp.run(Prepare, cli_args=[str(model), "--out", str(out), "--variant", variant, *options])


def names(folder: Path) -> list[str]:
    """The contents of a folder."""
    return sorted(path.name for path in folder.iterdir())
