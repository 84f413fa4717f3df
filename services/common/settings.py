"""Settings common to all services, from environment or command line; each service adds its own and a prefix."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.cpu import available_cores
from services.common.logs import LogFormat
from services.common.security.settings import SecuritySettings

MODELS = Path(__file__).parents[2] / "models"
"""The embedded models, served by default."""


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+/?")

MODEL_HELP = (
    "Model to serve: an artifact folder; or a model folder or a Hugging Face id (owner/name), which is prepared once, "
    "into the folder [TALLYGLASS_HOME], by default ~/.cache/tallyglass."
)


class ServerSettings(SecuritySettings):
    """Where to listen, and limits on requests. Sizes are checked before anything is decoded."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_parse_none_str="none",
    )

    model: str
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a model on the hub; by default its main branch."
    )
    allow_unverified: bool = Field(
        default=False, description="Serve a model folder as it is, without a manifest; no checksums are verified."
    )
    host: Literal["127.0.0.1", "0.0.0.0", "::"] = Field(  # noqa: S104 offered, not the default
        default="127.0.0.1", description="Address to listen on."
    )
    port: int = Field(default=8000, ge=1024, le=65535, description="Port to listen on.")
    threads: int = Field(
        default=available_cores(),
        ge=1,
        le=256,
        description="Compute threads of the worker; by default as many as there are cores.",
    )
    timeout_s: float = Field(
        default=60.0, gt=0, description="Longest time for a request in seconds, then 504; a request may ask for less."
    )
    max_requests: int = Field(
        default=64, ge=1, le=10_000, description="Most requests at a time, running and waiting; the next gets 429."
    )
    max_held_bytes: int = Field(
        default=256 << 20, ge=1024, description="Most bytes of the bodies of all these requests; the next gets 429."
    )
    stuck_after_s: float = Field(
        default=30.0,
        ge=2,
        description="Longest time in seconds without progress of the worker; then /ready fails, and after three times "
        "as long /live.",
    )
    restart_worker: bool = Field(
        default=False,
        description="Start a worker that dies anew, with growing pauses; otherwise the service ends.",
    )
    drain_s: float = Field(
        default=2.0,
        ge=0,
        le=600,
        description="Seconds after SIGTERM in which new requests get 503 before the port closes.",
    )
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
        description=(
            "Origins whose pages may ask, such as https://charts.example, separated by commas; * means all, "
            "and by default none may."
        ),
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
