"""What the Qwen2-VL service can be told: ``QWEN_VL_…`` in the environment, or ``--…`` on the command line."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.settings import MODELS, ServerSettings
from services.qwen_vl.types import LIMITS

Variant = Literal["fp32", "bf16", "int8", "nf4"]
Device = Literal["cpu", "cuda"]


class QwenVLSettings(ServerSettings):
    """Serve image question answering with Qwen2-VL, with the lens trace on request."""

    model_config = SettingsConfigDict(
        env_prefix="QWEN_VL_", cli_kebab_case=True, cli_prog_name="python -m services.qwen_vl"
    )

    port: int = Field(default=8001, ge=1024, le=65535, description="Port to listen on.")
    model_dir: Path = Field(
        default=MODELS / "tiny-qwen2-vl", description="Folder of the model, with its manifest.json."
    )
    variant: Variant = Field(default="fp32", description="Numeric form to compute in.")
    device: Device = Field(default="cpu", description="Where to compute.")
    max_pixels: int = Field(
        default=LIMITS.max_pixels, ge=3136, description="Most pixels an image is scaled to; 784 make one token."
    )
    max_prompt_tokens: int = Field(
        default=LIMITS.max_prompt_tokens, ge=64, description="Longest prompt, its images included."
    )
    max_grid_readings: int = Field(
        default=LIMITS.max_grid_readings,
        ge=1,
        description="Most readings of image tokens in one lens: layers times tokens.",
    )
    max_batch_size: int = Field(default=4, ge=1, le=64, description="Most answers decoded side by side.")
    cache_bytes: int = Field(
        default=LIMITS.cache_bytes, ge=0, description="Bound of the prefix cache in bytes; 0 keeps nothing."
    )
