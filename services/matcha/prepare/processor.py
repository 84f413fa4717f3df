"""What a MatCha checkpoint may lack: tokenizer and processor files, and the font of the header."""

from pathlib import Path
from typing import Final

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from services.common.artifact.manifest import PrepareError, Source
from services.common.artifact.source import find

TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_FONT_REPOSITORY, _FONT = "ybelkada/fonts", "Arial.TTF"


def processor_files(processor: str, revision: str | None) -> tuple[Path, Source]:
    """A folder with another model's tokenizer and processor, and its source.

    Raises:
        PrepareError: it cannot be found, or has no tokenizer.
    """
    found = find(processor, revision, TOKENIZER_FILES)
    if not (found.folder / TOKENIZER_FILES[0]).is_file():
        message = f"{processor} has no {TOKENIZER_FILES[0]} either: name another model with --processor"
        raise PrepareError(message)
    return found.folder, found.source


def training_font() -> Path | None:
    """The header font that Pix2Struct was trained with, from the hub; None if the hub is unreachable."""
    try:
        return Path(hf_hub_download(_FONT_REPOSITORY, _FONT))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
