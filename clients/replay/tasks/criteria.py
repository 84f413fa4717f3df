"""What was asked of a selection, and what it came to; both stand in ``run.json``."""

from pydantic import BaseModel, ConfigDict

from clients.replay.tasks.sample import Split


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Criteria(_Frozen):
    """What a selection was asked for: first the filters, then the draws, in the order of the fields.

    ``protocol`` is the preset that set them, with its ``note``.
    """

    split: Split
    simple_only: bool = False
    max_answer: int | None = None
    question_types: tuple[str, ...] = ()
    picture_share: float | None = None
    one_question_per_image: bool = False
    limit: int | None = None
    seed: int = 0
    protocol: str | None = None
    note: str | None = None


class Selection(Criteria):
    """Which questions were asked: ``sha256`` is over their ids, images' names, questions and gold answers.

    ``eligible`` counts the questions that passed the filters, before any draw.
    """

    eligible: int | None = None
    questions: int
    pictures: int
    sha256: str
