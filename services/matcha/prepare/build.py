"""Build an artifact folder from a checkpoint: weights in the variant's form, tokenizer, header font, manifest."""

import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from services.common.artifact.architecture import CONFIG
from services.common.artifact.build import is_stored_as, link, link_all, staged, versions
from services.common.artifact.command import Report
from services.common.artifact.hub import PICKLED_WEIGHTS
from services.common.artifact.manifest import MANIFEST_NAME, PIX2STRUCT, Manifest, PrepareError, Source, file_sha256
from services.common.artifact.source import WEIGHTS_INDEX, Checkpoint
from services.common.artifact.writer import seal
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats
from services.matcha.plain_folder import image_processor, require_questions
from services.matcha.prepare.calibrate import calibration_images, calibration_patches
from services.matcha.prepare.processor import TOKENIZER_FILES, processor_files, training_font
from services.matcha.types import LIMITS
from services.matcha.variants import VARIANTS

WANTED: Final = ("*.json", "*.safetensors", PICKLED_WEIGHTS)
"""Files of a repository to download; the pickled weights only if there are no others."""

_CONFIGS: Final = (CONFIG, "generation_config.json")
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

    Files that stay as they are become hard links where source and artifact share a file system.

    ``report`` is called at the start of each step (``steps`` counts them).

    Raises:
        PrepareError: not enough disk space, or files are missing.
        ManifestError: the model takes no questions.
    """
    if VARIANTS[variant].calibrated:
        _require_calibration(variant, extras)
    inputs = inputs_sum(checkpoint, variant, extras)
    needed = 0 if _is_kept(checkpoint, variant) else int(checkpoint.weights_bytes * (VARIANTS[variant].room or 1))
    with staged(out, needed) as folder:
        report("tokenizer and header font")
        font, stand_in = _link_font(checkpoint, extras.font, folder)
        processor = _link_processor(checkpoint, extras.processor, folder)
        settings = image_processor(checkpoint.folder) or image_processor(folder)
        require_questions(settings, checkpoint.source.id)
        manifest = Manifest(
            architecture=PIX2STRUCT,
            variant=variant,
            source=checkpoint.source,
            processor=processor,
            header_font=font,
            stand_in_font=stand_in,
            max_patches=checkpoint.manifest.max_patches if checkpoint.manifest else settings.get("max_patches"),
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
    row = VARIANTS[manifest.variant]
    if _is_kept(checkpoint, manifest.variant):
        report("linking the weights")
        link_all(checkpoint.folder, folder, (*_CONFIGS, WEIGHTS_INDEX, *(path.name for path in checkpoint.weights)))
        return
    from services.matcha.prepare.weights import write_weights  # noqa: PLC0415 torch, which linking does not need

    images = _calibration(manifest, folder, calibration) if row.calibrated else []
    write_weights(checkpoint, row, folder, images, report)


def _is_kept(checkpoint: Checkpoint, variant: str) -> bool:
    return VARIANTS[variant].needs_torch and is_stored_as(checkpoint, variant)


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


def _link_processor(checkpoint: Checkpoint, processor: str, folder: Path) -> Source | None:
    """Link tokenizer and processor files: the model's own, then, if it has no tokenizer, another's for those missing.

    Returns the source of the others.
    """
    own = _has_tokenizer(checkpoint.folder)
    other, source = (checkpoint.folder, None) if own else processor_files(processor, None)
    missing = [name for name in TOKENIZER_FILES if not (checkpoint.folder / name).is_file()]
    link_all(checkpoint.folder, folder, TOKENIZER_FILES)
    link_all(other, folder, missing)
    return source


def _link_font(checkpoint: Checkpoint, given: Path | None, folder: Path) -> tuple[str | None, bool]:
    """Link the header font; return its name, None for Pillow's default, and whether it is a stand-in.

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
    link(font, folder)
    return font.name, stand_in


def _font(checkpoint: Checkpoint, given: Path | None) -> tuple[Path | None, bool]:
    if given:
        return given, False
    if manifest := checkpoint.manifest:
        return checkpoint.folder / manifest.header_font if manifest.header_font else None, manifest.stand_in_font
    if font := training_font():
        return font, False
    return _LIBERATION if _LIBERATION.is_file() else None, True
