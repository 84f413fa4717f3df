"""Where checkpoint folders keep their chat template."""

import json
from pathlib import Path

import pytest

from services.qwen_vl.model.chat_template import ChatTemplate, chat_template

FILES = {
    "chat_template.jinja": "of the file",
    "chat_template.json": json.dumps({"chat_template": "of the JSON file"}),
    "tokenizer_config.json": json.dumps({"chat_template": "of the tokenizer"}),
}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (list(FILES), ChatTemplate("chat_template.jinja", "of the file")),
        (["chat_template.json", "tokenizer_config.json"], ChatTemplate("chat_template.json", "of the JSON file")),
        (["tokenizer_config.json"], ChatTemplate("tokenizer_config.json", "of the tokenizer")),
        ([], None),
    ],
)
def test_a_file_of_its_own_comes_first_and_the_tokenizers_last(
    names: list[str], found: ChatTemplate | None, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text(FILES[name])
    assert chat_template(tmp_path) == found


def test_a_configuration_without_a_template_has_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert chat_template(tmp_path) is None
