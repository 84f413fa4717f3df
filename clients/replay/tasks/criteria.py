"""The criteria of a selection and the resulting selection, both stored in ``run.json``."""

from pydantic import BaseModel, ConfigDict

from clients.replay.tasks.sample import Split


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Criteria(_Frozen):
    """Which questions to select: first the filters, then the random draws, in field order.

    ``protocol`` is the preset that set the criteria, with its ``note``.
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
    """Which questions were selected; ``sha256`` is over their ids, image names, questions and gold answers.

    ``eligible`` counts the questions that passed the filters, before any draw.
    """

    eligible: int | None = None
    questions: int
    pictures: int
    sha256: str
