"""Startup checks: read the settings and verify the model folder, or exit with an explanation."""

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from services.common.artifact.manifest import (
    MANIFEST_NAME,
    Architecture,
    Manifest,
    ManifestError,
    file_sha256,
    verify,
)
from services.common.settings import ServerSettings
from services.wire.answer import ModelCard

Settings = TypeVar("Settings", bound=ServerSettings)


def read_settings(settings: type[Settings], arguments: list[str] | None = None) -> Settings:
    """Settings from the command line, then the environment; exits with 2 and one line per invalid value."""
    try:
        return CliApp.run(settings, cli_args=arguments)
    except (ValidationError, SettingsError) as error:
        prefix = settings.model_config.get("env_prefix", "")
        print(f"invalid settings (see --help; each can also be set as {prefix}NAME):", file=sys.stderr)  # noqa: T201 before logging is set up
        for line in _lines(error):
            print(f"  {line}", file=sys.stderr)  # noqa: T201 logging is not configured yet
        sys.exit(2)


def verified_card(
    folder: Path, architecture: Architecture, variant: str | None = None, unverified: Manifest | None = None
) -> tuple[Manifest, ModelCard]:
    """Verify a model folder and return its manifest and the model card for clients; exits with 1 on failure.

    The card names the variant being served, by default the folder's. ``unverified`` replaces the manifest of a folder
    that has none but is allowed to be served.
    """
    try:
        manifest = unverified or verify(folder, architecture)
    except ManifestError as error:
        sys.exit(f"cannot serve: {error}")
    card = ModelCard(
        id=manifest.source.id,
        variant=variant or manifest.variant,
        revision=manifest.source.revision,
        manifest_sha256="none" if unverified else file_sha256(folder / MANIFEST_NAME),
    )
    return manifest, card


def _lines(error: ValidationError | SettingsError) -> list[str]:
    if isinstance(error, SettingsError):
        return [str(error)]
    return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}, not {item['input']!r}" for item in error.errors()]
