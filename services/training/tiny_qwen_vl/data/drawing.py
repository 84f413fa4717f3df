"""Paints a scene with Pillow, antialiased."""

import math
from typing import Final

from PIL import Image, ImageDraw

from services.training.shared.images import Point
from services.training.tiny_qwen_vl.data.scenes import SIDE, Item, Scene, Shape

_OVERSAMPLING: Final = 4
_RING_WIDTH: Final = 0.42
_STAR_INNER: Final = 0.42
_CROSS_ARM: Final = 0.33


def _regular(corners: int, start: float = -90.0) -> list[Point]:
    """Corners of a regular polygon on the unit circle; by default the first is at the top."""
    angles = [math.radians(start + 360.0 * index / corners) for index in range(corners)]
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


def _star() -> list[Point]:
    return [
        (x, y) if index % 2 == 0 else (x * _STAR_INNER, y * _STAR_INNER) for index, (x, y) in enumerate(_regular(10))
    ]


def _cross() -> list[Point]:
    arm, tip = _CROSS_ARM, 0.98
    quarter = [(arm, -tip), (arm, -arm), (tip, -arm)]
    corners: list[Point] = []
    for _ in range(4):
        corners += quarter
        quarter = [(-y, x) for x, y in quarter]
    return corners


_OUTLINES: Final[dict[Shape, list[Point]]] = {
    "square": _regular(4, start=-135.0),
    "triangle": _regular(3),
    "star": _star(),
    "cross": _cross(),
    "hexagon": _regular(6),
    "diamond": [(0.0, -1.0), (0.6, 0.0), (0.0, 1.0), (-0.6, 0.0)],
}
"""Corners on or within the unit circle, y pointing down; circle and ring are drawn as ellipses."""


def draw(scene: Scene, side: int = int(SIDE)) -> Image.Image:
    """The scene as an RGB image of ``side`` x ``side`` pixels."""
    large = Image.new("RGB", (side * _OVERSAMPLING, side * _OVERSAMPLING), scene.ground)
    canvas = ImageDraw.Draw(large)
    for item in scene.items:
        _paint(canvas, item, scale=side * _OVERSAMPLING / SIDE)
    return large.reduce(_OVERSAMPLING)


def _paint(canvas: ImageDraw.ImageDraw, item: Item, scale: float) -> None:
    x, y, radius = item.x * scale, item.y * scale, item.radius * scale
    box = (x - radius, y - radius, x + radius, y + radius)
    if item.shape == "circle":
        canvas.ellipse(box, fill=item.ink)
    elif item.shape == "ring":
        canvas.ellipse(box, outline=item.ink, width=round(radius * _RING_WIDTH))
    else:
        canvas.polygon([(x + radius * u, y + radius * v) for u, v in _tilted(item)], fill=item.ink)


def _tilted(item: Item) -> list[Point]:
    cos, sin = math.cos(math.radians(item.angle)), math.sin(math.radians(item.angle))
    return [(u * cos + v * sin, v * cos - u * sin) for u, v in _OUTLINES[item.shape]]
