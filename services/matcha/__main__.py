"""``python -m services.matcha``: read the settings, check the model folder, serve."""

from services.common.chat import MatchaChat
from services.common.launch import read_settings, verified_card
from services.common.routes import Wire
from services.common.schemas import MatchaRequest
from services.common.server import serve
from services.matcha.api import MatchaAPI
from services.matcha.settings import MatchaSettings

if __name__ == "__main__":
    settings = read_settings(MatchaSettings)
    manifest, card = verified_card(settings.model_dir, "Pix2StructForConditionalGeneration", settings.variant)
    serve(MatchaAPI(settings, manifest, card), settings, card, Wire(MatchaRequest, MatchaChat))
