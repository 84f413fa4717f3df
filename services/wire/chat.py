"""Requests of ``/v1/chat/completions``: OpenAI's fields, and our own.

The models have only the fields that are used; ``rules`` sorts out the others. Pydantic and the standard library only.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from services.wire.answer import MAX_NEW_TOKENS, MAX_QUESTION_CHARACTERS, MatchaRequest, QwenVLOptions
from services.wire.contract import RequestTimeout, WireRequest
from services.wire.errors import InvalidRequestError
from services.wire.image_data import ImageBytes
from services.wire.rules import Sorted

MAX_MESSAGES: Final = 64
MAX_IMAGES: Final = 16
MAX_CHARACTERS: Final = 32_000
"""Total text over all messages."""
MAX_STOPS: Final = 4


class TextPart(WireRequest):
    """A text part of a message."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_CHARACTERS)


class ImageURL(WireRequest):
    """An image as a data URL; ``detail`` has no effect, use ``min_pixels`` and ``max_pixels`` instead."""

    url: ImageBytes


class ImagePart(WireRequest):
    """An image part of a message."""

    type: Literal["image_url"]
    image_url: ImageURL


def _as_list(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if value is not None and not isinstance(value, list):
        message = "must be text or a list"
        raise ValueError(message)
    return value


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else _as_list(content)


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(min_length=1, max_length=128)]


class Message(WireRequest):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=str | Parts)]

    @property
    def text(self) -> str:
        """The text parts, one per line."""
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> list[bytes]:
        """The images, undecoded."""
        return [part.image_url.url for part in self.content if isinstance(part, ImagePart)]


class StreamOptions(WireRequest):
    """Options for streaming."""

    include_usage: bool = Field(default=False, description="End with a chunk that contains the usage.")


Stop = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]


class ChatRequest(WireRequest):
    """OpenAI's request. A service has one model, so any ``model`` is accepted; the response names the real one."""

    greedy: ClassVar[bool]
    """Whether decoding is always greedy."""

    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1, description=f"At most {MAX_NEW_TOKENS} are generated.")
    max_completion_tokens: int | None = Field(default=None, ge=1, description="The newer name of max_tokens.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    stop: Annotated[Stops | None, BeforeValidator(_as_list, json_schema_input_type=Stop | Stops | None)] = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    timeout_s: RequestTimeout = None

    @classmethod
    def sort(cls, sent: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The fields to be used, and the names of those that are taken without effect."""
        fields = Sorted(sent, cls.model_fields, greedy=cls.greedy)
        return fields.fields, fields.ignored

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        images = len(self.images)
        characters = sum(len(message.text) for message in self.messages)
        if images > MAX_IMAGES:
            message = f"'messages' has {images} images, at most {MAX_IMAGES} are allowed: leave out old turns"
            raise InvalidRequestError(message, "messages")
        if characters > MAX_CHARACTERS:
            message = (
                f"'messages' has {characters} characters of text, at most {MAX_CHARACTERS} are allowed: "
                "leave out old turns"
            )
            raise InvalidRequestError(message, "messages")
        if self.top_logprobs and not self.logprobs:
            message = "'top_logprobs' needs 'logprobs': true"
            raise InvalidRequestError(message, "top_logprobs")
        return self

    def name_of(self, field: str | None) -> str | None:
        """What the request calls a field of the engine, which knows one image and one question."""
        return "messages" if field in {"image", "question"} else field

    @property
    def named_images(self) -> list[tuple[str, bytes]]:
        """All images of the conversation, undecoded, each with the field it came in."""
        return [
            (image_name(at, place), part.image_url.url)
            for at, message in enumerate(self.messages)
            for place, part in enumerate(message.content)
            if isinstance(part, ImagePart)
        ]

    @property
    def images(self) -> list[bytes]:
        """All images of the conversation, undecoded."""
        return [image for _, image in self.named_images]

    @property
    def wants_scores(self) -> bool:
        """Whether log probabilities are requested."""
        return bool(self.logprobs)

    @property
    def wants_pieces(self) -> bool:
        """Whether the worker must return the answer in pieces."""
        return bool(self.stream) or self.wants_scores

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def max_answer_tokens(self) -> int | None:
        """Most tokens to generate; OpenAI has two names for it. Clients may ask for more than a server gives."""
        wanted = self.max_completion_tokens or self.max_tokens
        return wanted and min(wanted, MAX_NEW_TOKENS)


def image_name(message: int, part: int) -> str:
    """The field of an image in a request."""
    return f"messages.{message}.content.{part}.image_url"


class QwenVLChat(ChatRequest, QwenVLOptions):
    """A conversation about images. Greedy unless the temperature is above 0."""

    greedy = False


class MatchaChat(ChatRequest):
    """A conversation. MatCha reads its last image and its last question; decoding is always greedy."""

    greedy = True

    max_patches: int | None = Field(
        default=None, ge=1, description="Most patches of 16 x 16 px; null means the model's default."
    )

    @model_validator(mode="after")
    def _asks_about_one_chart(self) -> Self:
        if self.logprobs:
            message = "'logprobs' is not supported by this model: leave it out, or send false"
            raise InvalidRequestError(message, "logprobs")
        chart, question = self._read
        images = len(self.messages[chart].images) if chart is not None else 0
        if images != 1:
            found = f"its last message with images has {images}" if images else "it has none"
            message = f"'messages' must have one image to ask about, and {found}: this model reads one image at a time"
            raise InvalidRequestError(message, "messages")
        if question is None:
            message = "'messages' must end with a question: after the last answer there is no text of the user"
            raise InvalidRequestError(message, "messages")
        characters = len(self.messages[question].text)
        if characters > MAX_QUESTION_CHARACTERS:
            message = f"the question has {characters} characters, at most {MAX_QUESTION_CHARACTERS} are allowed"
            raise InvalidRequestError(message, f"messages.{question}.content")
        return self

    def last_question(self) -> MatchaRequest:
        """The last question about the last image as a request for ``/v1/answer``."""
        chart, question = self._read
        assert chart is not None  # noqa: S101 checked during validation
        assert question is not None  # noqa: S101 checked during validation
        return MatchaRequest(
            image=self.messages[chart].images[0],
            question=self.messages[question].text,
            max_new_tokens=self.max_answer_tokens,
            max_patches=self.max_patches,
        )

    def name_of(self, field: str | None) -> str | None:
        """What the request calls a field of the engine: the image and the question are those that are read."""
        chart, question = self._read
        if field == "image":
            return next(name for name, _ in self.named_images if name.startswith(f"messages.{chart}."))
        return f"messages.{question}.content" if field == "question" else super().name_of(field)

    @property
    def without_effect(self) -> list[str]:
        """The turns that are not read, and what sampling would need."""
        turns = [f"messages.{at}" for at in range(len(self.messages)) if at not in self._read]
        sampling = {"temperature": self.temperature or None, "top_p": self.top_p, "seed": self.seed}
        return [*turns, *(name for name, value in sampling.items() if value is not None)]

    @property
    def _read(self) -> tuple[int | None, int | None]:
        """The positions of the last message with an image, and of the last question since the last answer."""
        last = range(len(self.messages) - 1, -1, -1)
        chart = next((at for at in last if self.messages[at].images), None)
        asked = next((at for at in last if self.messages[at].role == "user"), -1)
        for at in range(asked, -1, -1):
            if self.messages[at].role == "assistant":
                break
            if self.messages[at].role == "user" and self.messages[at].text.strip():
                return chart, at
        return chart, None
