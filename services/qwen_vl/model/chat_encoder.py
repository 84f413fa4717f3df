"""Encode a conversation with the model's chat template; what people write never becomes a control token."""

import re
from collections.abc import Sequence
from typing import Any, Final

from services.qwen_vl.types import ImageFile, Turn

IMAGE_PAD: Final = "<|image_pad|>"
_PRIVATE_USE: Final = range(0xF0000, 0xFFFFE)
"""More characters than a conversation may have."""


class ChatEncoder:
    """A tokenizer with its chat template; ``tokenizer`` is one of transformers."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 transformers has no type hints that mypy reads
        self._tokenizer = tokenizer
        self._controls: dict[str, int] = tokenizer.added_tokens_encoder
        self._control = re.compile(f"({'|'.join(map(re.escape, self._controls))})")
        self.image_id = self._controls[IMAGE_PAD]

    def ids(self, turns: Sequence[Turn], lengths: Sequence[int]) -> list[int]:
        """Token ids of a conversation whose images take ``lengths`` tokens.

        Only the template's control tokens are control tokens; one that a text contains stays text. The text between
        them is encoded piece by piece, as transformers' tokenizer does by itself.
        """
        texts = HiddenTexts("".join(part for turn in turns for part in turn.parts if isinstance(part, str)))
        images = iter(lengths)
        ids: list[int] = []
        for piece in self._control.split(self._rendered([self._plain(turn, texts) for turn in turns])):
            if piece == IMAGE_PAD:
                ids += [self.image_id] * next(images)
            elif piece in self._controls:
                ids.append(self._controls[piece])
            elif piece:
                ids += self._encoded(texts.restore(piece))
        return ids

    def _plain(self, turn: Turn, texts: "HiddenTexts") -> Turn:
        """The turn with its texts hidden if they contain control tokens, alone or as joined by the template."""
        joined = "".join(part if isinstance(part, str) else "\n" for part in turn.parts)
        if not self._control.search(joined):
            return turn
        return Turn(turn.role, tuple(texts.hide(part) if isinstance(part, str) else part for part in turn.parts))

    def _rendered(self, turns: Sequence[Turn]) -> str:
        messages = [{"role": turn.role, "content": [_part(part) for part in turn.parts]} for turn in turns]
        text: str = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return text

    def _encoded(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids


class HiddenTexts:
    """Texts that a template carries unread: marks, of a character that occurs in none of them, take their places.

    Args:
        everything: all texts that the template renders, hidden or not.
    """

    def __init__(self, everything: str) -> None:
        self._mark = next(character for character in map(chr, _PRIVATE_USE) if character not in everything)
        self._texts: list[str] = []

    def hide(self, text: str) -> str:
        """A mark that stands for the text."""
        self._texts.append(text)
        return f"{self._mark}{len(self._texts) - 1}{self._mark}"

    def restore(self, rendered: str) -> str:
        """The rendered text, with the hidden ones in place of their marks."""
        return re.sub(f"{self._mark}(\\d+){self._mark}", lambda match: self._texts[int(match[1])], rendered)


def _part(part: str | ImageFile) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, ImageFile) else {"type": "text", "text": part}
