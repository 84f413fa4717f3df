"""What the MatCha service can be told: ``MATCHA_…`` in the environment, or ``--…`` on the command line."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.settings import MODELS, ServerSettings

Variant = Literal["fp32"]


class MatchaSettings(ServerSettings):
    """Serve chart question answering with MatCha (Pix2Struct)."""

    model_config = SettingsConfigDict(
        env_prefix="MATCHA_", cli_kebab_case=True, cli_prog_name="python -m services.matcha"
    )

    model_dir: Path = Field(default=MODELS / "tiny-matcha", description="Folder of the model, with its manifest.json.")
    variant: Variant = Field(default="fp32", description="Numeric form to compute in.")
    max_patches_limit: int = Field(default=4096, ge=1, le=16384, description="Most patches a request may ask for.")
