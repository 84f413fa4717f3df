"""Settings of the Qwen2-VL service: ``QWEN_VL_…`` in the environment, or ``--…`` on the command line."""

from typing import Final, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.settings import MODEL_HELP, MODELS, ServerSettings
from services.qwen_vl.types import LIMITS

Variant = Literal["fp32", "bf16", "int8", "nf4"]
Device = Literal["cpu", "cuda"]

FORMS: Final[dict[Variant, tuple[Variant, ...]]] = {
    "fp32": ("fp32", "bf16"),
    "bf16": ("bf16", "fp32"),
    "int8": ("int8", "bf16", "fp32"),
    "nf4": ("nf4", "bf16", "fp32"),
}
"""The artifact forms that each variant can be served from, its own first."""


class QwenVLSettings(ServerSettings):
    """Serve image question answering with Qwen2-VL, with lens traces on request."""

    model_config = SettingsConfigDict(env_prefix="QWEN_VL_")

    port: int = Field(default=8001, ge=1024, le=65535, description="Port to listen on.")
    model: str = Field(default=str(MODELS / "tiny-qwen2-vl"), description=MODEL_HELP)
    variant: Variant | None = Field(
        default=None, description="Numeric form to serve; defaults to the one the model was prepared in, else bf16."
    )
    device: Device = Field(default="cpu", description="Device to compute on.")
    max_pixels: int = Field(
        default=LIMITS.max_pixels,
        ge=3136,
        description="Images of more pixels are scaled down to this; 784 pixels make one token.",
    )
    max_prompt_tokens: int = Field(
        default=LIMITS.max_prompt_tokens, ge=64, description="Longest prompt in tokens, including images."
    )
    max_grid_readings: int = Field(
        default=LIMITS.max_grid_readings,
        ge=1,
        description="Most image-token readings in one lens trace: layers times tokens.",
    )
    max_batch_size: int = Field(default=4, ge=1, le=64, description="Most answers decoded as one batch.")
    cache_bytes: int = Field(
        default=LIMITS.cache_bytes, ge=0, description="Size of the prefix cache in bytes; 0 disables it."
    )
