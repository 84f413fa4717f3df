"""Build an artifact folder from a checkpoint: weights in the variant's form, tokenizer, header font, manifest."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from services.common.artifact.build import staged, versions
from services.common.artifact.command import Report
from services.common.artifact.manifest import MANIFEST_NAME, PIX2STRUCT, Manifest, Source, file_sha256
from services.common.artifact.source import PICKLED_WEIGHTS, Checkpoint, PrepareError
from services.common.artifact.writer import seal
from services.matcha.backends.torch_backend import FORMS, load_model
from services.matcha.header import load_font
from services.matcha.patches import Floats
from services.matcha.prepare.calibrate import calibration_images, calibration_patches
from services.matcha.prepare.export import WeightsFile, export, graphs
from services.matcha.prepare.processor import TOKENIZER_FILES, processor_files, training_font
from services.matcha.types import LIMITS
from services.matcha.variants import VARIANTS

WANTED: Final = ("*.json", "*.safetensors", PICKLED_WEIGHTS)
"""Files of a repository to download; the pickled weights only if there are no others."""

_CONFIGS: Final = ("config.json", "generation_config.json")
_TOOLS: Final = (
    "nncf",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "pillow",
    "tokenizers",
    "torch",
    "transformers",
)
_LIBERATION: Final = Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")


@dataclass(frozen=True, slots=True)
class Extras:
    """Inputs that a model may lack: the model whose tokenizer to use, the header font and calibration images."""

    processor: str = ""
    font: Path | None = None
    calibration: Path | None = None


def inputs_sum(checkpoint: Checkpoint, variant: str, extras: Extras) -> str:
    """A checksum of the inputs other than the weights, which the source identifies: they too affect the answers.

    Covers only what was requested: a font that happened to be unavailable from the hub does not change the checksum.
    """
    own, elsewhere = _has_tokenizer(checkpoint.folder), Path(extras.processor)
    folders = [checkpoint.folder, *([] if own or not elsewhere.is_dir() else [elsewhere])]
    files = [folder / name for folder in folders for name in (MANIFEST_NAME, *_CONFIGS, *TOKENIZER_FILES)]
    files += [extras.font] if extras.font else []
    files += calibration_images(extras.calibration) if extras.calibration and VARIANTS[variant].calibrated else []
    sums = [file_sha256(path) if path.is_file() else "" for path in files]
    named = [] if own or elsewhere.is_dir() else [extras.processor]
    return hashlib.sha256(json.dumps([sums, named]).encode()).hexdigest()


def build(checkpoint: Checkpoint, variant: str, out: Path, extras: Extras, report: Report) -> Manifest:
    """Write the artifact folder and return its manifest, without the checksums.

    ``report`` is called at the start of each step (``steps`` counts them).

    Raises:
        PrepareError: not enough disk space, or files are missing.
    """
    if VARIANTS[variant].calibrated:
        _require_calibration(variant, extras)
    inputs = inputs_sum(checkpoint, variant, extras)
    with staged(out, int(checkpoint.weights_bytes * (VARIANTS[variant].room or 1))) as folder:
        report("tokenizer and header font")
        font, stand_in = _copy_font(checkpoint, extras.font, folder)
        manifest = Manifest(
            architecture=PIX2STRUCT,
            variant=variant,
            source=checkpoint.source,
            processor=_copy_processor(checkpoint, extras.processor, folder),
            header_font=font,
            stand_in_font=stand_in,
            max_patches=_max_patches(checkpoint, folder),
            inputs=inputs,
            tools=versions(_TOOLS),
            sha256={},
        )
        _write_weights(checkpoint, manifest, folder, extras.calibration, report)
        report("manifest")
        seal(folder, manifest)
    return manifest


def steps(variant: str) -> int:
    """How many steps ``build`` reports."""
    row = VARIANTS[variant]
    return 3 if row.needs_torch else 5 if row.quantizer else 4


def _write_weights(
    checkpoint: Checkpoint, manifest: Manifest, folder: Path, calibration: Path | None, report: Report
) -> None:
    report("reading the weights")
    row = VARIANTS[manifest.variant]
    safe = bool(list(checkpoint.folder.glob("*.safetensors")))
    options: dict[str, Any] = {"use_safetensors": safe} | ({} if safe else {"weights_only": True})
    if row.needs_torch:
        load_model(checkpoint.folder, FORMS[row.name], **options).save_pretrained(folder, max_shard_size="100GB")
        return
    images = _calibration(manifest, folder, calibration) if row.calibrated else []
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        exported = Path(scratch) if row.quantizer else folder
        report("exporting the graphs")
        model = load_model(checkpoint.folder, "fp32", **options)
        weights = WeightsFile(exported / "model.onnx.data")
        for graph in graphs(model):
            export(graph, exported, weights)
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        del model
        if row.quantizer:
            report("quantizing")
            # imported only now: NNCF takes seconds to import, and other forms do not need it
            import_module(f"services.matcha.prepare.{row.quantizer}").quantize(exported, folder, images)


def _calibration(manifest: Manifest, folder: Path, charts: Path | None) -> list[Floats]:
    font = folder / manifest.header_font if manifest.header_font else None
    return calibration_patches(charts, font, manifest.max_patches or LIMITS.default_patches) if charts else []


def _require_calibration(variant: str, extras: Extras) -> None:
    if not find_spec("nncf"):
        message = f"{variant} needs NNCF: install the extra matcha-prepare-openvino"
        raise PrepareError(message)
    if not extras.calibration:
        message = f"{variant} needs calibration images: name a folder of charts like yours with --calibration"
        raise PrepareError(message)


def _has_tokenizer(folder: Path) -> bool:
    return (folder / TOKENIZER_FILES[0]).is_file()


def _copy_processor(checkpoint: Checkpoint, processor: str, folder: Path) -> Source | None:
    """Copy tokenizer and processor files, the model's own or another's, and return the source in the latter case."""
    own = _has_tokenizer(checkpoint.folder)
    origin, source = (checkpoint.folder, None) if own else processor_files(processor, None)
    for name in TOKENIZER_FILES:
        if (origin / name).is_file():
            shutil.copyfile(origin / name, folder / name)
    return source


def _copy_font(checkpoint: Checkpoint, given: Path | None, folder: Path) -> tuple[str | None, bool]:
    """Copy the header font; return its name, None for Pillow's default, and whether it is a stand-in.

    It is the one given, else the model's own, else Pix2Struct's training font, else Liberation Sans.
    """
    font, stand_in = _font(checkpoint, given)
    if not font:
        return None, stand_in
    try:
        load_font(font)
    except OSError as error:
        message = f"{font} is not a usable font ({error}): name a TrueType file with --font"
        raise PrepareError(message) from error
    shutil.copyfile(font, folder / font.name)
    return font.name, stand_in


def _font(checkpoint: Checkpoint, given: Path | None) -> tuple[Path | None, bool]:
    if given:
        return given, False
    if manifest := checkpoint.manifest:
        return checkpoint.folder / manifest.header_font if manifest.header_font else None, manifest.stand_in_font
    if font := training_font():
        return font, False
    return _LIBERATION if _LIBERATION.is_file() else None, True


def _max_patches(checkpoint: Checkpoint, folder: Path) -> int | None:
    if checkpoint.manifest:
        return checkpoint.manifest.max_patches
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    value: int | None = json.loads(path.read_text(encoding="utf-8")).get("max_patches")
    return value
