"""Weights converted to a variant's form, or graphs exported from them: the part of ``prepare`` that needs torch."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import Pix2StructForConditionalGeneration
from transformers.utils.logging import disable_progress_bar

from services.common.artifact.command import Report
from services.common.artifact.source import Checkpoint
from services.matcha.backends.torch_backend import FORMS, load_model
from services.matcha.patches import Floats
from services.matcha.prepare.export import WeightsFile, export, graphs
from services.matcha.variants import Variant


def write_weights(checkpoint: Checkpoint, row: Variant, folder: Path, images: list[Floats], report: Report) -> None:
    """Write a variant's weights or graphs, with their configurations, into a folder.

    ``images`` are the patches to calibrate on; ``report`` is called at the start of each step.

    Raises:
        ManifestError: the checkpoint lacks a tensor.
    """
    disable_progress_bar()
    with _quiet():
        report("reading the weights")
        safe = bool(list(checkpoint.folder.glob("*.safetensors")))
        options: dict[str, Any] = {"use_safetensors": safe} | ({} if safe else {"weights_only": True})
        if row.needs_torch:
            load_model(checkpoint.folder, FORMS[row.name], **options).save_pretrained(folder, max_shard_size="100GB")
            return
        model = load_model(checkpoint.folder, "fp32", **options)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            exported = Path(scratch) if row.quantizer else folder
            report("exporting the graphs")
            _export(model, exported)
            model.config.save_pretrained(folder)
            model.generation_config.save_pretrained(folder)
            del model
            if row.quantizer:
                report("quantizing")
                # imported only now: NNCF takes seconds to import, and other forms do not need it
                import_module(f"services.matcha.prepare.{row.quantizer}").quantize(exported, folder, images)


def _export(model: Pix2StructForConditionalGeneration, folder: Path) -> None:
    weights = WeightsFile(folder / "model.onnx.data")
    for graph in graphs(model):
        export(graph, folder, weights)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings: libraries log every step of exporting and quantizing, and set levels anew when imported."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
