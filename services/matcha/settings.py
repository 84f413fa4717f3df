"""Settings of the MatCha service: ``MATCHA_…`` in the environment, or ``--…`` on the command line."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from services.common.artifact.variants import VariantError, served_variant
from services.common.cpu import computes_in_bf16
from services.common.settings import MODEL_HELP, MODELS, ServerSettings
from services.matcha.types import LIMITS
from services.matcha.variants import VARIANTS, VariantName

Device = Literal["cpu", "cuda"]


def _split(paths: str | list[str]) -> list[str]:
    parts = paths.split(",") if isinstance(paths, str) else paths
    return [part for part in parts if part]


class MatchaSettings(ServerSettings):
    """Serve chart question answering with MatCha (Pix2Struct)."""

    model_config = SettingsConfigDict(env_prefix="MATCHA_")

    model: str = Field(default=str(MODELS / "tiny-matcha"), description=MODEL_HELP)
    variant: VariantName | None = Field(
        default=None, description="Variant to serve; defaults to the one the model was prepared for, else fp32."
    )
    device: Device = Field(default="cpu", description="Device of the torch variants.")
    force_bf16: bool = Field(default=False, description="Serve bf16 even on a CPU without bfloat16, where it is slow.")
    header_fonts: Annotated[list[Path], NoDecode, BeforeValidator(_split)] = Field(
        default=[],
        description="TrueType files, separated by commas, for characters that the model's own header font lacks.",
    )
    max_patches_limit: int = Field(
        default=LIMITS.max_patches,
        ge=1,
        le=16384,
        description="Most patches that a request may use.",
    )
    max_batch_size: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Most requests answered as one batch; images are always encoded one by one.",
    )
    batch_timeout_s: float = Field(
        default=0.01, ge=0.001, le=1, description="Longest wait for a batch to fill up, in seconds."
    )


def chosen_variant(settings: MatchaSettings, prepared_as: str) -> VariantName:
    """The variant to serve from a folder that was prepared as ``prepared_as``.

    Raises:
        VariantError: the variant cannot be served from this folder, or would be slow on this CPU.
    """
    variant = served_variant(settings.variant, prepared_as, {row.name: row.forms for row in VARIANTS.values()})
    if variant == "bf16" and settings.device == "cpu" and not (settings.force_bf16 or computes_in_bf16()):
        message = (
            "this CPU has no bfloat16 instructions, so bf16 would be slower than fp32: "
            "serve fp32 or onnx-int8, or pass --force-bf16"
        )
        raise VariantError(message)
    return variant
