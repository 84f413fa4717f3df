"""Scenes as data: coloured shapes on a plain background, sampled from a seeded generator.

``drawing`` paints a scene, ``questions`` asks about it.
"""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.training.shared.images import RGB

Colour = str
Shape = str
Look = tuple[Colour, Shape]

SIDE: Final = 112.0
"""Width and height of a scene in its own units, which are pixels at native size."""

MAX_ANSWER: Final = 5
MAX_ITEMS: Final = 7
"""More than the highest answer, so that two other items fit beside five red stars."""

INKS: Final[dict[Colour, RGB]] = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 90, 200),
    "yellow": (240, 200, 20),
    "purple": (140, 60, 190),
    "black": (25, 25, 25),
}
COLOURS: Final = tuple(INKS)
SHAPES: Final[tuple[Shape, ...]] = ("circle", "square", "triangle", "star", "cross", "ring")

_INK_JITTER: Final = 20
_GROUND_LIGHTNESS: Final = (205, 255)
_GROUND_JITTER: Final = 12
_PLACEMENT_TRIES: Final = 60
_GAP: Final = 1.5


@dataclass(frozen=True, slots=True)
class Query:
    """What to count: everything, or the items of a colour, of a shape, or of both."""

    colour: Colour | None = None
    shape: Shape | None = None

    @property
    def kind(self) -> str:
        """The kind of query: ``total``, ``colour``, ``shape`` or ``colour and shape``."""
        asked = {"colour": self.colour, "shape": self.shape}
        return " and ".join(name for name, value in asked.items() if value) or "total"

    def counts(self, look: Look) -> bool:
        """Whether an item of this look is counted."""
        colour, shape = look
        return self.colour in {None, colour} and self.shape in {None, shape}


@dataclass(frozen=True, slots=True)
class Item:
    """One shape: its colour and shape by name, the exact colour of its ink, and its place and size in scene units."""

    colour: Colour
    shape: Shape
    ink: RGB
    x: float
    y: float
    radius: float
    angle: float
    """Degrees, counter-clockwise."""

    @property
    def look(self) -> Look:
        """Colour and shape."""
        return self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Scene:
    """Items that do not touch, on a light background."""

    ground: RGB
    items: tuple[Item, ...]

    def count(self, query: Query) -> int:
        """The number of items that the query counts."""
        return sum(query.counts(item.look) for item in self.items)


@dataclass(frozen=True, slots=True)
class SceneStyle:
    """The distribution that scenes are sampled from."""

    inks: Sequence[tuple[Colour, RGB]] = tuple(INKS.items())
    shapes: Sequence[Shape] = SHAPES
    min_radius: float = 10.0
    max_radius: float = 15.0
    max_tilt: float = 15.0
    """Degrees to either side."""

    @property
    def colours(self) -> list[Colour]:
        """Names of the inks."""
        return [name for name, _ in self.inks]


TRAINED_STYLE: Final = SceneStyle()


def sample_scene(
    rng: random.Random, query: Query, answer: int, others: int, style: SceneStyle = TRAINED_STYLE
) -> Scene:
    """A scene in which ``query`` counts ``answer`` items, among at most ``others`` that it does not count.

    A total counts everything, so it has no others.
    """
    looks = [_counted_look(rng, query, style) for _ in range(answer)]
    if query.kind != "total":
        looks += rng.choices(_near_misses(rng, query, style), k=others)
    rng.shuffle(looks)
    placed: list[Item] = []
    for look in looks:
        placed += _place(rng, placed, look, style)
    if sum(query.counts(item.look) for item in placed) != answer:  # no room, which is rare: try again
        return sample_scene(rng, query, answer, max(others - 1, 0), style)
    return Scene(ground=_ground(rng), items=tuple(placed))


def _counted_look(rng: random.Random, query: Query, style: SceneStyle) -> Look:
    return query.colour or rng.choice(style.colours), query.shape or rng.choice(style.shapes)


def _near_misses(rng: random.Random, query: Query, style: SceneStyle) -> list[Look]:
    """One to four looks that the query does not count, made of its own colour and shape and one or two others.

    What is not counted thus resembles what is, and further questions can count it.
    """
    colours = {query.colour or rng.choice(style.colours), *rng.sample(style.colours, min(2, len(style.colours)))}
    shapes = {query.shape or rng.choice(style.shapes), *rng.sample(style.shapes, min(2, len(style.shapes)))}
    looks = [look for look in itertools.product(sorted(colours), sorted(shapes)) if not query.counts(look)]
    return rng.sample(looks, min(len(looks), rng.randint(1, 4)))


def _place(rng: random.Random, placed: Sequence[Item], look: Look, style: SceneStyle) -> Iterator[Item]:
    """An item that touches no other, or nothing if there is no room."""
    for attempt in range(_PLACEMENT_TRIES):
        shrink = 1.0 - attempt / _PLACEMENT_TRIES  # the more attempts, the smaller the item
        radius = rng.uniform(style.min_radius, style.min_radius + shrink * (style.max_radius - style.min_radius))
        x, y = (rng.uniform(radius + 1, SIDE - radius - 1) for _ in range(2))
        if all(math.hypot(x - other.x, y - other.y) >= radius + other.radius + _GAP for other in placed):
            angle = rng.uniform(-style.max_tilt, style.max_tilt)
            ink = _jittered(rng, dict(style.inks)[look[0]], _INK_JITTER)
            yield Item(*look, ink, x, y, radius, angle)
            return


def _ground(rng: random.Random) -> RGB:
    lightness = rng.randint(*_GROUND_LIGHTNESS)
    return _jittered(rng, (lightness, lightness, lightness), _GROUND_JITTER)


def _jittered(rng: random.Random, colour: RGB, spread: int) -> RGB:
    red, green, blue = (min(255, max(0, channel + rng.randint(-spread, spread))) for channel in colour)
    return red, green, blue
