"""Sets outside the training distribution; each differs from the held-out set in one respect."""

import random
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from services.training.shared.images import with_jpeg_artefacts
from services.training.tiny_qwen_vl.data.cases import Case, CaseSet
from services.training.tiny_qwen_vl.data.drawing import draw
from services.training.tiny_qwen_vl.data.questions import KINDS, PHRASES, Language
from services.training.tiny_qwen_vl.data.scenes import SIDE, Scene, SceneStyle


def outside_cases(name: str, per_cell: int) -> list[Case]:
    """The cases of a set of ``OUTSIDE``."""
    return OUTSIDE[name].sample(random.Random(f"tiny-qwen2-vl outside {name}"), per_cell)


def _twice_as_large(scene: Scene) -> Image.Image:
    return draw(scene, side=2 * int(SIDE))


def _wide(scene: Scene) -> Image.Image:
    """The image in the middle of one twice as wide."""
    side = int(SIDE)
    wide = Image.new("RGB", (2 * side, side), scene.ground)
    wide.paste(draw(scene), (side // 2, 0))
    return wide


def _poor_jpeg(scene: Scene) -> Image.Image:
    return with_jpeg_artefacts(draw(scene), quality=15)


def _noisy(scene: Scene) -> Image.Image:
    pixels = np.asarray(draw(scene), dtype=np.float64)
    noise = np.random.default_rng(zlib.crc32(repr(scene).encode())).normal(0.0, 25.0, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


_NEW_COLOURS: Final = (("orange", (245, 130, 20)), ("pink", (245, 130, 190)), ("brown", (120, 70, 30)))
_ENGLISH: Final[Sequence[Language]] = ("en",)

OUTSIDE: Final[dict[str, CaseSet]] = {
    "8 to 10 items": CaseSet(
        "more items than trained, answers still 0 to 5", kinds=KINDS[1:], max_items=10, min_others=5
    ),
    "counts of 6 to 8": CaseSet("more than the model can say", kinds=("total",), answers=(6, 7, 8)),
    "smaller shapes": CaseSet(
        "radius 5 to 8 px, trained on 10 to 15", style=SceneStyle(min_radius=5.0, max_radius=8.0)
    ),
    "any tilt": CaseSet("turned by up to 180 degrees, trained up to 15", style=SceneStyle(max_tilt=180.0)),
    "new colours": CaseSet("orange, pink and brown", _ENGLISH, style=SceneStyle(inks=_NEW_COLOURS)),
    "new shapes": CaseSet("hexagons and diamonds", _ENGLISH, style=SceneStyle(shapes=("hexagon", "diamond"))),
    "noise": CaseSet("Gaussian, 25 of 255", paint=_noisy),
    "poor JPEG": CaseSet("quality 15, trained on 60 and more", paint=_poor_jpeg),
    "224 x 224 px": CaseSet("twice as large; the image processor halves it", paint=_twice_as_large),
    "224 x 112 px": CaseSet("twice as wide; another grid of patches", paint=_wide),
    "instruction added": CaseSet(
        "with “Output single word with exact number.” after the question",
        _ENGLISH,
        phrases={"en": tuple(f"{phrase} Output single word with exact number." for phrase in PHRASES["en"])},
    ),
    "other wording": CaseSet(
        "phrases never trained",
        phrases={
            "en": ("Please tell me how many {things} I drew.", "I wonder how many {things} this image shows?"),
            "zh": ("请告诉我画里{things}的数量。", "你看到了多少{things}呢？"),
        },
    ),
    "Spanish": CaseSet(
        "a language never trained",
        _ENGLISH,
        kinds=("total",),
        phrases={"en": ("¿Cuántas figuras hay?", "¿Cuántas figuras ves en la imagen?")},
    ),
}
