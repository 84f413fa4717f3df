"""What the MatCha service can be told: ``MATCHA_…`` in the environment, or ``--…`` on the command line."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.cpu import computes_in_bf16
from services.common.settings import MODELS, ServerSettings
from services.matcha.types import LIMITS
from services.matcha.variants import VARIANTS, VariantName

Device = Literal["cpu", "cuda"]


class VariantError(Exception):
    """This variant cannot be served: not from this folder, or not well on this processor; the message says what can."""


class MatchaSettings(ServerSettings):
    """Serve chart question answering with MatCha (Pix2Struct)."""

    model_config = SettingsConfigDict(
        env_prefix="MATCHA_", cli_kebab_case=True, cli_implicit_flags=True, cli_prog_name="python -m services.matcha"
    )

    model_dir: Path = Field(default=MODELS / "tiny-matcha", description="Folder of the model, with its manifest.json.")
    variant: VariantName | None = Field(
        default=None, description="Numeric form to compute in; by default that which the folder was prepared for."
    )
    device: Device = Field(default="cpu", description="Where the torch variants compute.")
    force_bf16: bool = Field(default=False, description="Serve bf16 even on a processor without it, where it is slow.")
    allow_unverified: bool = Field(
        default=False, description="Serve a folder without manifest, as optimum-cli writes it; no sum is checked."
    )
    max_patches_limit: int = Field(
        default=LIMITS.max_patches, ge=1, le=16384, description="Most patches a request may ask for."
    )
    max_batch_size: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Most requests answered together; images are encoded one by one all the same.",
    )
    batch_timeout_s: float = Field(
        default=0.01, ge=0.001, le=1, description="Longest wait for a batch to fill, in seconds."
    )


def chosen_variant(settings: MatchaSettings, prepared_as: str) -> VariantName:
    """The variant to serve from a folder that was prepared as ``prepared_as``.

    Raises:
        VariantError: the folder holds something else, or the processor would compute it slowly.
    """
    variant = settings.variant or (prepared_as if prepared_as in VARIANTS else None)
    if variant is None or prepared_as not in VARIANTS[variant].forms:
        message = f"the folder was prepared as {prepared_as}, which {variant or 'no variant'} is not served from"
        if variant:
            wanted = " or ".join(sorted(VARIANTS[variant].forms))
            message += f": prepare one as {wanted} (python -m services.matcha prepare --help)"
        raise VariantError(message)
    if variant == "bf16" and settings.device == "cpu" and not (settings.force_bf16 or computes_in_bf16()):
        message = (
            "this processor has no bfloat16 instructions, so bf16 would be slower than fp32: "
            "serve fp32 or onnx-int8, or pass --force-bf16"
        )
        raise VariantError(message)
    return variant
