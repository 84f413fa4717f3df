"""The model card and the record that its numbers come from: nothing in a card is typed by hand."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECORD_NAME: Final = "eval.json"
CARD_NAME: Final = "README.md"


def write_record(record: "DataclassInstance", folder: Path) -> None:
    """Write every measurement into the model folder, as JSON."""
    text = json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n"
    (folder / RECORD_NAME).write_text(text, encoding="utf-8")


def render(template: Path, **values: Any) -> str:
    """The Markdown of a card; a value that the template names but is not given is an error."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 Markdown, of our own numbers
    )
    environment.filters |= {"percent": "{:.1f}".format, "thousands": "{:,}".format}
    return environment.from_string(template.read_text(encoding="utf-8")).render(values)
