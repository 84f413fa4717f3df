"""Speed of each variant at full size, compared with transformers 4 and Optimum, measured in turns (A B A B)."""

import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.matcha.model import write_random_model
from benchmarks.matcha.subjects.own import QUESTION
from benchmarks.matcha.subjects.process import Subject, own, peer
from benchmarks.measurements import Measurement
from services.common.artifact.source import find
from services.matcha.header import render_header
from services.matcha.header.fonts import load_font
from services.matcha.patches import flatten_patches
from services.matcha.prepare.build import WANTED, Extras, build
from services.matcha.variants import VARIANTS, VariantName

HOW = "make bench-matcha"
STUDY, OPTIMUM = "transformers 4.57.6 fp32", "ORTModelForPix2Struct"
_LIGHTEST = ("onnx-int8", "openvino", "openvino-int8")
"""The torch-free variants that compete for the fastest."""
_WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class Place:
    """The folder for models kept between runs, the interpreter of Optimum's environment, and the thread count."""

    work: Path
    optimum: Path
    threads: int

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """A folder, made if missing."""
        folder = self.work / name
        if not folder.exists():
            make(folder)
        return folder


def model_folder(place: Place, max_patches: int) -> Path:
    """The random model, with that ``max_patches`` in its processor, to which Optimum fixes its export."""
    return place.folder(f"model-{max_patches}", lambda folder: write_random_model(folder, max_patches))


def artifact_folder(place: Place, variant: str) -> Path:
    """The random model prepared as a variant."""
    source = find(str(model_folder(place, 2048)), None, WANTED)
    charts = chart(place).parent
    font = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"  # any font will do for a random model
    return place.folder(
        variant, lambda folder: build(source, variant, folder, Extras(font=font, calibration=charts), lambda _: None)
    )


def variant_folder(place: Place, variant: VariantName) -> Path:
    """The folder to serve a variant from; the torch variants share the fp32 one."""
    return artifact_folder(place, VARIANTS[variant].forms[-1])


def optimum_folder(place: Place, max_patches: int) -> Path:
    """The random model as exported by ``optimum-cli``."""

    def export(folder: Path) -> None:
        cli = place.optimum.with_name("optimum-cli")
        options = ["--task", "image-to-text-with-past", "--no-post-process"]
        model = str(model_folder(place, max_patches))
        subprocess.run([str(cli), "export", "onnx", "--model", model, *options, str(folder)], check=True)  # noqa: S603 our own command

    return place.folder(f"optimum-{max_patches}", export)


def chart(place: Place) -> Path:
    """Draw a chart of 800 × 600 px."""
    path = place.work / "charts/chart.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (800, 600), "white")
    pen = ImageDraw.Draw(image)
    for index, height in enumerate((120, 380, 260, 480, 330)):
        pen.rectangle((90 + index * 140, 560 - height, 180 + index * 140, 560), fill=(40 * index, 90, 200 - 30 * index))
    image.save(path)
    return path


def subjects(place: Place, max_patches: int) -> list[Subject]:
    """All variants and the alternatives they are compared with, at that many patches."""
    image = chart(place)
    with Image.open(image) as drawn:
        rows = flatten_patches(render_header(drawn.convert("RGB"), QUESTION, load_font(None)), max_patches)
    padded = np.zeros((max_patches, rows.shape[1]), dtype=np.float32)  # Optimum's graphs need exactly this many
    padded[: len(rows)] = rows
    patches = place.work / f"patches-{max_patches}.npy"
    np.save(patches, padded)
    threads = place.threads
    found = [
        peer(OPTIMUM, "optimum", optimum_folder(place, max_patches), patches, threads, place.optimum),
        *(own(variant, variant_folder(place, variant), image, threads, max_patches) for variant in VARIANTS),
    ]
    if max_patches > 768:  # noqa: PLR2004 transformers 4 is slow, so it is compared at full length only
        study = model_folder(place, 2048)
        found.insert(0, peer(STUDY, "transformers", study, patches, threads, place.optimum))
    return found


def time_all(found: Sequence[Subject], rounds: int, say: Callable[[str], None]) -> None:
    """Warm up each subject with two answers, because the first allocates, then time one answer each per round."""
    with ExitStack() as stack:
        for subject in found:
            stack.enter_context(subject)
            for _ in range(_WARM_UPS):
                subject.ask(warm_up=True)
        for index in range(rounds):
            for subject in found:
                subject.ask()
            times = ", ".join(f"{subject.name} {subject.seconds[-1]:.2f} s" for subject in found)
            say(f"round {index + 1}/{rounds}: {times}")


def speed_measurements(found: Sequence[Subject], max_patches: int) -> list[Measurement]:
    """Times of each subject, and speedups from times of the same round, so that slow phases cancel out."""
    by_name = {subject.name: subject for subject in found}
    at = f"at {max_patches} patches"
    results = [Measurement.median(f"{subject.name} {at}", subject.seconds, "s", HOW) for subject in found]

    def ratio(slow: str, fast: str, bar: float | None, name: str = "") -> None:
        pairs = zip(by_name[slow].seconds, by_name[fast].seconds, strict=True)
        name = f"{name or fast} against {slow} {at}"
        results.append(Measurement.median(name, [a / b for a, b in pairs], "times", HOW, at_least=bar))

    best = min(_LIGHTEST, key=lambda name: float(np.median(by_name[name].seconds)))
    if STUDY in by_name:
        ratio(STUDY, best, 12, f"the best torch-free variant ({best})")
        ratio(STUDY, "onnx-int8", 10)
        ratio("fp32", "bf16", 2)
    ratio(OPTIMUM, best, 3, f"the best torch-free variant ({best})")
    ratio(OPTIMUM, "onnx-fp32", 1.4 if STUDY in by_name else None)
    for name in _LIGHTEST:
        subject = by_name[name]
        shares = [ms / 10 / seconds for ms, seconds in zip(subject.preprocess_ms, subject.seconds, strict=True)]
        results.append(
            Measurement.median(
                f"header, patches and tokenizing of {name} {at}", shares, "% of a request", HOW, at_most=3
            )
        )
    return results
