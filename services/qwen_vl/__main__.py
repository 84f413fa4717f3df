"""``python -m services.qwen_vl``: read the settings, verify the model folder, serve."""

from services.common.artifact.manifest import QWEN2_VL
from services.common.http.routes import RequestTypes
from services.common.server import serve
from services.common.startup import read_settings, verified_card
from services.qwen_vl.api import QwenVLAPI
from services.qwen_vl.settings import QwenVLSettings
from services.wire.answer import QwenVLRequest
from services.wire.chat import QwenVLChat

if __name__ == "__main__":
    settings = read_settings(QwenVLSettings)
    _, card = verified_card(settings.model_dir, QWEN2_VL, settings.variant)
    serve(QwenVLAPI(settings), settings, card, RequestTypes(QwenVLRequest, QwenVLChat))
