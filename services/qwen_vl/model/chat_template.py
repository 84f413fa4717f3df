"""The chat template of a checkpoint folder, in any of the places where folders keep it."""

import json
from pathlib import Path
from typing import NamedTuple

_JINJA, _JSON, _TOKENIZER = "chat_template.jinja", "chat_template.json", "tokenizer_config.json"


class ChatTemplate(NamedTuple):
    """A Jinja template, and the name of the file it stands in."""

    file: str
    text: str


def chat_template(folder: Path) -> ChatTemplate | None:
    """The template that transformers' processor would use; None if the folder has none.

    A file of its own comes first, the tokenizer's configuration last (``ProcessorMixin.get_processor_dict`` in
    transformers' ``processing_utils.py``). transformers' tokenizer alone does not read ``chat_template.json``.
    """
    if (folder / _JINJA).is_file():
        return ChatTemplate(_JINJA, (folder / _JINJA).read_text(encoding="utf-8"))
    for name in (_JSON, _TOKENIZER):
        if (folder / name).is_file():
            text = json.loads((folder / name).read_text(encoding="utf-8")).get("chat_template")
            if isinstance(text, str):
                return ChatTemplate(name, text)
    return None
