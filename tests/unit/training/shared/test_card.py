from dataclasses import dataclass
from pathlib import Path

import jinja2
import pytest

from services.training.shared.card import render, write_record


@dataclass(frozen=True)
class Measured:
    name: str
    scores: dict[str, float]


def template(folder: Path, text: str) -> Path:
    path = folder / "card.md.jinja"
    path.write_text(text, encoding="utf-8")
    return path


def test_numbers_are_rounded_and_markdown_is_left_as_it_is(tmp_path: Path) -> None:
    text = "{% if n %}\n{{ share | percent }} % of {{ n | thousands }} <b>\n{% endif %}\n"
    assert render(template(tmp_path, text), share=12.34, n=45678) == "12.3 % of 45,678 <b>\n"


def test_a_value_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(jinja2.UndefinedError, match="share"):
        render(template(tmp_path, "{{ share }}"), n=1)


def test_a_record_keeps_its_characters(tmp_path: Path) -> None:
    write_record(Measured("零一", {"a": 0.5}), tmp_path)
    assert (tmp_path / "eval.json").read_text(encoding="utf-8") == (
        '{\n "name": "零一",\n "scores": {\n  "a": 0.5\n }\n}\n'
    )
