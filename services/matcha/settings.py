"""What the MatCha service can be told: ``MATCHA_…`` in the environment, or ``--…`` on the command line."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.cpu import computes_in_bf16
from services.common.settings import MODELS, ServerSettings

Variant = Literal["fp32", "bf16", "int8", "onnx-fp32", "onnx-int8", "openvino", "openvino-int8"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
Device = Literal["cpu", "cuda"]

SERVED_FROM: dict[Variant, frozenset[str]] = {
    "fp32": frozenset({"fp32"}),
    "bf16": frozenset({"bf16", "fp32"}),
    "int8": frozenset({"int8", "fp32"}),
    "onnx-fp32": frozenset({"onnx-fp32"}),
    "onnx-int8": frozenset({"onnx-int8"}),
    "openvino": frozenset({"onnx-fp32"}),
    "openvino-int8": frozenset({"openvino-int8"}),
}
"""Variant to the artifacts it can be served from: a smaller form of torch weights is made while loading."""


class VariantError(Exception):
    """This variant cannot be served: not from this folder, or not well on this processor; the message says what can."""


class MatchaSettings(ServerSettings):
    """Serve chart question answering with MatCha (Pix2Struct)."""

    model_config = SettingsConfigDict(
        env_prefix="MATCHA_", cli_kebab_case=True, cli_implicit_flags=True, cli_prog_name="python -m services.matcha"
    )

    model_dir: Path = Field(default=MODELS / "tiny-matcha", description="Folder of the model, with its manifest.json.")
    variant: Variant | None = Field(
        default=None, description="Numeric form to compute in; by default that which the folder was prepared for."
    )
    device: Device = Field(default="cpu", description="Where the torch variants compute.")
    force_bf16: bool = Field(default=False, description="Serve bf16 even on a processor without it, where it is slow.")
    allow_unverified: bool = Field(
        default=False, description="Serve a folder without manifest, as optimum-cli writes it; no sum is checked."
    )
    max_patches_limit: int = Field(default=4096, ge=1, le=16384, description="Most patches a request may ask for.")
    max_batch_size: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Most requests answered together; images are encoded one by one all the same.",
    )
    batch_timeout_s: float = Field(
        default=0.01, ge=0.001, le=1, description="Longest wait for a batch to fill, in seconds."
    )


def chosen_variant(settings: MatchaSettings, prepared_as: str) -> Variant:
    """The variant to serve from a folder that was prepared as ``prepared_as``.

    Raises:
        VariantError: the folder holds something else, or the processor would compute it slowly.
    """
    variant = settings.variant or next((each for each in VARIANTS if each == prepared_as), None)
    if variant is None or prepared_as not in SERVED_FROM[variant]:
        message = f"the folder was prepared as {prepared_as}, which {variant or 'no variant'} is not served from"
        if variant:
            wanted = " or ".join(sorted(SERVED_FROM[variant]))
            message += f": prepare one as {wanted} (python -m services.matcha prepare --help)"
        raise VariantError(message)
    if variant == "bf16" and settings.device == "cpu" and not (settings.force_bf16 or computes_in_bf16()):
        message = (
            "this processor has no bfloat16 instructions, so bf16 would be slower than fp32: "
            "serve fp32 or onnx-int8, or pass --force-bf16"
        )
        raise VariantError(message)
    return variant
