"""Small random Qwen2-VL checkpoints, laid out as they are found on the hub: in all but their size like real ones."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from tests.hub.settings import (
    CHAT_TEMPLATE,
    ConfigForm,
    config,
    generation_config,
    preprocessor_config,
    tokenizer_config,
)
from tests.hub.vocabulary import tokenizer_json
from tests.hub.weights import before_4_52, random_weights, write_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a checkpoint is laid out; by default, as transformers 5 saves it.

    Attributes:
        name: what it is like, in words fit for a folder.
        config: the form of ``config.json``.
        renamed: whether tensors have the names that transformers gives them since 4.52.
        shards: number of files that the weights are in.
        template: the file with the chat template.
        sized: whether pixel bounds are given as a ``size``.
        tied: whether the output head is the embedding.
        samples: whether ``generation_config.json`` samples and repeats, and lists two tokens to end at.
    """

    name: str
    config: ConfigForm = "rope_parameters"
    renamed: bool = True
    shards: int = 1
    template: Literal["chat_template.json", "chat_template.jinja", "tokenizer_config.json"] = "chat_template.jinja"
    sized: bool = True
    tied: bool = True
    samples: bool = False


_RELEASED: Final = Layout(name="", config="flat", renamed=False, shards=2, sized=False, samples=True)
LAYOUTS: Final = (
    replace(_RELEASED, name="released-small", template="tokenizer_config.json"),
    replace(_RELEASED, name="released-large", template="chat_template.json", tied=False),
    replace(_RELEASED, name="tuned-4.45", template="chat_template.json", shards=1, sized=True, samples=False),
    replace(_RELEASED, name="tuned-4.52", config="rope_scaling", shards=1, tied=False),
    Layout(name="saved-5-small"),
    Layout(name="saved-5-large", shards=2, tied=False, samples=True),
)
"""Every value of every switch, in the combinations that the releases and their fine-tuned offspring come in."""


def write(layout: Layout, folder: Path, seed: int = 0) -> None:
    """Write a checkpoint into a folder, which is made if need be; the weights follow from the seed.

    Raises:
        FileNotFoundError: the vocabulary's package is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "config.json": config(layout.config, tied=layout.tied),
        "generation_config.json": generation_config(samples=layout.samples),
        "preprocessor_config.json": preprocessor_config(sized=layout.sized),
        "tokenizer_config.json": tokenizer_config(template=layout.template == "tokenizer_config.json"),
    }
    if layout.template == "chat_template.json":
        files["chat_template.json"] = {"chat_template": CHAT_TEMPLATE}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False))
    if layout.template == "chat_template.jinja":
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "tokenizer.json").write_text(tokenizer_json())
    weights = random_weights(tied=layout.tied, seed=seed)
    write_weights(weights if layout.renamed else before_4_52(weights), folder, layout.shards)
