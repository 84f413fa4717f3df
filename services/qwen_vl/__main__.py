"""``python -m services.qwen_vl [serve | prepare | inspect]``: serve, create or inspect a model folder."""

import sys
from functools import partial

from services.common import commands
from services.common.artifact.manifest import QWEN2_VL, verify_checksums
from services.common.artifact.variants import VariantError, served_variant
from services.common.http.routes import RequestTypes
from services.common.server import serve
from services.common.startup import model_card, model_folder, read_settings, require_device
from services.qwen_vl.api import QwenVLAPI
from services.qwen_vl.plain_folder import unverified_manifest
from services.qwen_vl.settings import FORMS, QwenVLSettings
from services.wire.answer import QwenVLRequest
from services.wire.chat import QwenVLChat


def serve_qwen_vl(arguments: list[str]) -> None:
    """Serve, or exit with an explanation."""
    settings = read_settings(QwenVLSettings, arguments)
    require_device(settings.device)
    folder = model_folder(settings, "services.qwen_vl", settings.variant or "bf16")
    manifest, card = model_card(folder, QWEN2_VL, unverified_manifest if settings.allow_unverified else None)
    try:
        variant = served_variant(settings.variant, manifest.variant, FORMS)
    except VariantError as error:
        sys.exit(f"cannot serve: {folder}: {error}")
    card = card.model_copy(update={"variant": variant})
    api, wire = QwenVLAPI(settings, folder, variant), RequestTypes(QwenVLRequest, QwenVLChat)
    serve(api, settings, card, wire, partial(verify_checksums, folder, manifest))


def main() -> None:
    """Run the command that the command line names."""
    commands.run("services.qwen_vl", "answer image questions", "qwen-vl", serve_qwen_vl, sys.argv[1:])


if __name__ == "__main__":
    main()
