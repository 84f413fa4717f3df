"""Before serving: read the settings and find the model folder, or exit with an explanation."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from services.common.artifact.cache import artifact_folder, is_hub_id
from services.common.artifact.manifest import (
    MANIFEST_NAME,
    Architecture,
    Manifest,
    ManifestError,
    file_sha256,
    read_complete,
)
from services.common.settings import ServerSettings
from services.wire.answer import ModelCard

_CUDA_DRIVER: Final = "libcuda.so.1"

Settings = TypeVar("Settings", bound=ServerSettings)


def read_settings(settings: type[Settings], arguments: list[str] | None = None) -> Settings:
    """Settings from the command line, then the environment; exits with 2 and one line per invalid value."""
    prefix = settings.model_config.get("env_prefix", "")
    if f"{prefix}MODEL_DIR" in os.environ:  # to ignore it would serve another model
        print(f"{prefix}MODEL_DIR is now {prefix}MODEL: rename it", file=sys.stderr)  # noqa: T201 before logging is set up
        sys.exit(2)
    try:
        return CliApp.run(settings, cli_args=arguments)
    except (ValidationError, SettingsError) as error:
        print(f"invalid settings (see --help; each can also be set as {prefix}NAME):", file=sys.stderr)  # noqa: T201 before logging is set up
        for line in _lines(error):
            print(f"  {line}", file=sys.stderr)  # noqa: T201 logging is not configured yet
        sys.exit(2)


def require_device(device: str) -> None:
    """Exit with 1 if the device is ``cuda`` and this machine has no NVIDIA driver: PyTorch takes seconds to notice."""
    if device == "cuda":
        try:
            ctypes.CDLL(_CUDA_DRIVER)
        except OSError:
            sys.exit(f"cannot serve: no NVIDIA driver ({_CUDA_DRIVER}) is installed here: use --device cpu")


def model_folder(settings: ServerSettings, service: str, form: str) -> Path:
    """The folder to serve: the one named, or the model prepared from it, once; exits with 1 if that fails.

    Args:
        settings: name the model, its revision, and whether a folder without a manifest is served as it is.
        service: the service's package, whose ``prepare`` runs in a process of its own, which gives its memory back.
        form: the artifact's form, should the model have to be prepared.
    """
    named = Path(settings.model)
    on_hub = is_hub_id(settings.model) and not named.is_dir()
    plain = (named / "config.json").is_file() and not (named / MANIFEST_NAME).is_file()
    if not on_hub and (settings.allow_unverified or not plain):
        return named
    folder = artifact_folder(settings.model, settings.revision, form)
    if not (folder / MANIFEST_NAME).is_file():
        options = ["--variant", form, "--out", str(folder)]
        options += ["--revision", settings.revision] if settings.revision else []
        command = [sys.executable, "-m", service, "prepare", settings.model, *options]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 this project's own command
            sys.exit(f"cannot serve: {settings.model} was not prepared, for the reason above")
    return folder


def model_card(
    folder: Path, architecture: Architecture, stand_in: Callable[[Path], Manifest | None] | None = None
) -> tuple[Manifest, ModelCard]:
    """Return a model folder's manifest and the model card for clients; exits with 1 if the folder is incomplete.

    The checksums are left to ``server.serve``. ``stand_in`` gives a manifest in place of the one that a folder lacks,
    if that is allowed to be served.
    """
    try:
        unverified = stand_in(folder) if stand_in else None
        manifest = unverified or read_complete(folder, architecture)
    except ManifestError as error:
        sys.exit(f"cannot serve: {error}")
    card = ModelCard(
        id=manifest.source.id,
        variant=manifest.variant,
        revision=manifest.source.revision,
        manifest_sha256="none" if unverified else file_sha256(folder / MANIFEST_NAME),
    )
    return manifest, card


def _lines(error: ValidationError | SettingsError) -> list[str]:
    if isinstance(error, SettingsError):
        return [str(error)]
    return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}, not {item['input']!r}" for item in error.errors()]
