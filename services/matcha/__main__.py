"""``python -m services.matcha [serve | prepare | inspect]``: serve, create or inspect a model folder."""

import sys
from functools import partial

from services.common import commands
from services.common.artifact.manifest import PIX2STRUCT, verify_checksums
from services.common.artifact.variants import VariantError
from services.common.http.routes import RequestTypes
from services.common.server import serve
from services.common.startup import model_card, model_folder, read_settings, require_device
from services.matcha.api import MatchaAPI
from services.matcha.header import font_warning
from services.matcha.header.fonts import load_font
from services.matcha.plain_folder import unverified_manifest
from services.matcha.settings import MatchaSettings, chosen_variant
from services.matcha.variants import VARIANTS
from services.wire.answer import MatchaRequest
from services.wire.chat import MatchaChat


def serve_matcha(arguments: list[str]) -> None:
    """Serve, or exit with an explanation."""
    settings = read_settings(MatchaSettings, arguments)
    require_device(settings.device)
    for path in settings.header_fonts:
        try:
            load_font(path)
        except OSError as error:
            sys.exit(f"cannot serve: {path} is not a usable font ({error}): name TrueType files with --header-fonts")
    folder = model_folder(settings, "services.matcha", VARIANTS[settings.variant or "fp32"].forms[0])
    manifest, card = model_card(folder, PIX2STRUCT, unverified_manifest if settings.allow_unverified else None)
    try:
        variant = chosen_variant(settings, manifest.variant)
    except VariantError as error:
        sys.exit(f"cannot serve: {folder}: {error}")
    warnings = [warning] if (warning := font_warning(manifest)) else []
    card = card.model_copy(update={"variant": variant, "warnings": warnings})
    api, wire = MatchaAPI(settings, folder, variant, manifest), RequestTypes(MatchaRequest, MatchaChat)
    serve(api, settings, card, wire, partial(verify_checksums, folder, manifest))


def main() -> None:
    """Run the command that the command line names."""
    commands.run("services.matcha", "answer chart questions", "matcha-prepare", serve_matcha, sys.argv[1:])


if __name__ == "__main__":
    main()
