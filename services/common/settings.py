"""Settings common to all services, from environment or command line; each service adds its own and a prefix."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.cpu import available_cores
from services.common.logs import LogFormat

MODELS = Path(__file__).parents[2] / "models"
"""The embedded models, served by default."""


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+/?")

MODEL_HELP = (
    "Model to serve: an artifact folder; or a model folder or a Hugging Face id (owner/name), which is prepared once, "
    "into TALLYGLASS_HOME."
)


class ServerSettings(BaseSettings):
    """Where to listen, and limits on requests. Sizes are checked before anything is decoded."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    model: str
    revision: str | None = Field(default=None, description="Branch, tag or commit of a model on the hub.")
    allow_unverified: bool = Field(
        default=False, description="Serve a model folder as it is, without a manifest; no checksums are verified."
    )
    host: Literal["127.0.0.1", "0.0.0.0", "::"] = Field(  # noqa: S104 offered, not the default
        default="127.0.0.1", description="Address to listen on."
    )
    port: int = Field(default=8000, ge=1024, le=65535, description="Port to listen on.")
    threads: int = Field(
        default_factory=available_cores,
        ge=1,
        le=256,
        description="Compute threads of the worker; defaults to the available cores.",
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Request timeout in seconds; then 504.")
    max_new_tokens: int = Field(default=64, ge=1, le=512, description="Default answer limit, in tokens.")
    max_body_bytes: int = Field(default=16 << 20, ge=1024, description="Largest request body, in bytes.")
    max_image_bytes: int = Field(default=10 << 20, ge=1024, description="Largest image file, in bytes.")
    max_image_pixels: int = Field(default=32_000_000, ge=1, description="Largest image, in pixels.")
    objective_ms: float | None = Field(
        default=None, gt=0, description="Time within which requests should be answered, in milliseconds, for metrics."
    )
    strict: bool = Field(
        default=False, description="Refuse fields of chat requests that have no effect, instead of naming them."
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may ask, such as https://charts.example, separated by commas; * means all.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level to log.")
    log_format: LogFormat = Field(
        default="auto", description="JSON lines, or text to read; auto means text on a terminal, else json."
    )
    log_questions: bool = Field(default=False, description="Log the text of each question; images never are.")

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: object) -> None:
        """Name each option's environment variable in its help text."""
        prefix = cls.model_config.get("env_prefix", "")
        for name, field in cls.model_fields.items():
            field.description = f"{field.description or ''} [{prefix}{name.upper()}]".lstrip()

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_service_link(cls, value: object) -> object:
        """In a cluster with a Service named ``matcha``, MATCHA_PORT is its address, ``tcp://…``, and not a setting."""
        if isinstance(value, str) and value.startswith(("tcp://", "udp://", "sctp://")):
            return cls.model_fields["port"].default
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        for origin in filter(None, map(str.strip, text.split(","))):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                message = f"{origin!r} is not an origin: write a scheme and a host, such as https://charts.example"
                raise ValueError(message)
        return text
