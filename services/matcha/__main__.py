"""``python -m services.matcha [serve | prepare | inspect]``: serve, create or inspect a model folder."""

import sys

from services.common.artifact.inspect import inspect
from services.common.artifact.manifest import PIX2STRUCT, Manifest
from services.common.http.routes import RequestTypes
from services.common.server import serve
from services.common.startup import read_settings, verified_card
from services.matcha.api import MatchaAPI
from services.matcha.optimum_folder import looks_exported, unverified_manifest
from services.matcha.settings import MatchaSettings, VariantError, chosen_variant
from services.matcha.variants import VariantName
from services.wire.answer import MatchaRequest, ModelCard
from services.wire.chat import MatchaChat

_USAGE = """\
python -m services.matcha [serve] [OPTIONS]     answer chart questions over HTTP
python -m services.matcha prepare [OPTIONS]     make an artifact folder for a model and a variant
python -m services.matcha inspect FOLDER        print a folder's manifest and verify its checksums
Each command has --help; the options of serve follow.
"""


def main(arguments: list[str]) -> None:
    """Run the command named by the first argument, by default serve."""
    command, rest = (arguments[0], arguments[1:]) if arguments[:1] and arguments[0].isalpha() else ("serve", arguments)
    if command == "prepare":
        from services.matcha.prepare.command import prepare  # noqa: PLC0415 imports torch, which most variants do not need

        prepare(rest)
    elif command == "inspect":
        inspect(rest)
    elif command == "serve":
        if "--help" in rest or "-h" in rest:
            print(_USAGE)  # noqa: T201 part of --help
        serve_matcha(rest)
    else:
        sys.exit(f"unknown command {command!r}; the commands are:\n{_USAGE}")


def serve_matcha(arguments: list[str]) -> None:
    """Serve, or exit with an explanation."""
    settings = read_settings(MatchaSettings, arguments)
    manifest, card, variant = _checked(settings)
    serve(MatchaAPI(settings, variant, manifest), settings, card, RequestTypes(MatchaRequest, MatchaChat))


def _checked(settings: MatchaSettings) -> tuple[Manifest, ModelCard, VariantName]:
    folder = settings.model_dir
    unverified = unverified_manifest(folder) if settings.allow_unverified and looks_exported(folder) else None
    manifest, card = verified_card(folder, PIX2STRUCT, unverified=unverified)
    try:
        variant = chosen_variant(settings, manifest.variant)
    except VariantError as error:
        sys.exit(f"cannot serve: {folder}: {error}")
    return manifest, card.model_copy(update={"variant": variant}), variant


if __name__ == "__main__":
    main(sys.argv[1:])
