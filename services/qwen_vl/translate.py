"""Translate between the wire contract and the engine's types."""

from collections.abc import Iterable

from services.common.worker.messages import Delta, WorkerAnswer
from services.qwen_vl.model.prompt import PromptBuilder
from services.qwen_vl.types import (
    Answer,
    GridReading,
    ImageFile,
    LensOptions,
    LensReading,
    Piece,
    Question,
    Reading,
    Role,
    Sampling,
    Turn,
)
from services.wire.answer import QwenVLRequest, TokenLogprob, TokenScore, Usage
from services.wire.chat import ImagePart, Message, QwenVLChat, image_name
from services.wire.lens import (
    GridLayer,
    ImageGrid,
    LayerTrace,
    LensRequest,
    LensStep,
    LensTrace,
    TokenProb,
    TrackedGrid,
    TrackedProb,
)

Asked = QwenVLRequest | QwenVLChat

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class Translator:
    """Translates in both directions, for one model."""

    def __init__(self, prompts: PromptBuilder, num_layers: int, max_new_tokens: int) -> None:
        self._prompts = prompts
        self._num_layers = num_layers
        self._max_new_tokens = max_new_tokens

    def question(self, asked: Asked) -> Question:
        """The engine's question; ``/v1/answer`` becomes a conversation of one turn, answered greedily."""
        if isinstance(asked, QwenVLRequest):
            return Question(
                turns=(Turn("user", (ImageFile(asked.image), asked.question)),),
                max_new_tokens=asked.max_new_tokens or self._max_new_tokens,
                lens=_lens_options(asked.lens),
                min_pixels=asked.min_pixels,
                max_pixels=asked.max_pixels,
            )
        return Question(
            turns=tuple(_turn(message, at) for at, message in enumerate(asked.messages)),
            max_new_tokens=asked.max_answer_tokens or self._max_new_tokens,
            sampling=Sampling(asked.temperature or 0.0, asked.top_p or 1.0, asked.seed),
            stop=tuple(asked.stop or ()),
            top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
            lens=_lens_options(asked.lens),
            min_pixels=asked.min_pixels,
            max_pixels=asked.max_pixels,
        )

    def delta(self, piece: Piece) -> Delta:
        """A piece of an answer as a message."""
        if piece.scores is None:
            return Delta(piece.text)
        top = [self._score(*pair) for pair in piece.scores.top]
        return Delta(piece.text, [TokenLogprob(**dict(self._score(*piece.scores.token)), top_logprobs=top)])

    def answer(self, asked: Asked, answer: Answer, queue_ms: float) -> WorkerAnswer:
        """The complete answer; surrounding whitespace is stripped for ``/v1/answer`` but kept in a conversation."""
        return WorkerAnswer(
            text=answer.text.strip() if isinstance(asked, QwenVLRequest) else answer.text,
            finish_reason=answer.finish_reason,
            usage=Usage(
                image_tokens=answer.image_tokens,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=len(answer.token_ids),
                cached_tokens=answer.cached_tokens,
            ),
            queue_ms=queue_ms,
            preprocess_ms=answer.preprocess_ms,
            inference_ms=answer.inference_ms,
            cache=answer.cache,
            lens=self._lens_trace(answer.lens) if answer.lens else None,
        )

    def _score(self, token_id: int, logprob: float) -> TokenScore:
        return TokenScore(
            token=self._prompts.token(token_id), logprob=logprob, bytes=list(self._prompts.token_bytes(token_id))
        )

    def _lens_trace(self, lens: LensReading) -> LensTrace:
        steps = [
            LensStep(
                token=self._prompts.token(step.token_id),
                token_id=step.token_id,
                layers=[
                    self._layer_trace(layer, reading, lens.track)
                    for layer, reading in zip(lens.layers, step.layers, strict=True)
                ],
            )
            for step in lens.steps
        ]
        grids = None if lens.grids is None else [self._image_grid(grid, lens) for grid in lens.grids]
        return LensTrace(num_layers=self._num_layers, steps=steps, image_tokens=grids)

    def _layer_trace(self, layer: int, reading: Reading, track: Iterable[str]) -> LayerTrace:
        pairs = zip(reading.token_ids, reading.probs, strict=True)
        return LayerTrace(
            layer=layer,
            top=[TokenProb(token=self._prompts.token(token), token_id=token, prob=prob) for token, prob in pairs],
            entropy=reading.entropy,
            answer_prob=reading.answer_prob,
            answer_rank=reading.answer_rank,
            track=[
                TrackedProb(token=text, prob=prob, rank=rank)
                for text, (prob, rank) in zip(track, reading.tracked, strict=True)
            ],
        )

    def _image_grid(self, grid: GridReading, lens: LensReading) -> ImageGrid:
        return ImageGrid(
            width_px=grid.width_px,
            height_px=grid.height_px,
            rows=grid.rows,
            columns=grid.columns,
            cell_width_px=grid.width_px / grid.columns,
            cell_height_px=grid.height_px / grid.rows,
            layers=[
                self._grid_layer(layer, _rows(cells, grid.columns), lens.track)
                for layer, cells in zip(lens.layers, grid.layers, strict=True)
            ],
        )

    def _grid_layer(self, layer: int, rows: list[list[Reading]], track: tuple[str, ...]) -> GridLayer:
        return GridLayer(
            layer=layer,
            tokens=[[self._prompts.token(cell.token_ids[0]) for cell in row] for row in rows],
            token_ids=[[cell.token_ids[0] for cell in row] for row in rows],
            probs=[[cell.probs[0] for cell in row] for row in rows],
            track=[
                TrackedGrid(token=text, probs=[[cell.tracked[index][0] for cell in row] for row in rows])
                for index, text in enumerate(track)
            ],
        )


def _rows(cells: list[Reading], columns: int) -> list[list[Reading]]:
    return [cells[at : at + columns] for at in range(0, len(cells), columns)]


def _turn(message: Message, position: int) -> Turn:
    parts = (
        ImageFile(part.image_url.url, image_name(position, at)) if isinstance(part, ImagePart) else part.text
        for at, part in enumerate(message.content)
    )
    return Turn(_ROLES[message.role], tuple(parts))


def _lens_options(lens: LensRequest | None) -> LensOptions | None:
    if lens is None:
        return None
    return LensOptions(
        top_k=lens.top_k,
        layers=None if lens.layers is None else tuple(lens.layers),
        every_token=lens.tokens == "all",
        track=tuple(lens.track),
        image_tokens=lens.image_tokens,
    )
