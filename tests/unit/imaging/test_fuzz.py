"""Broken image files: an image or a refusal, in bounded memory and time. ``FUZZ_IMAGES`` sets how many are tried."""

import os
import random
import resource
import traceback
from collections import Counter
from pathlib import Path

import PIL

from imaging.errors import ImageError
from services.common.images import decode, probe, upright_size
from services.wire.errors import TooLargeError, UnsupportedImageError
from tests.broken_images import FILES, mutated

EXAMPLES = int(os.environ.get("FUZZ_IMAGES", "400"))
PILLOW = Path(PIL.__file__).parent
MOST_GROWTH_KIB = 400 << 10
MOST_PIXELS = 4_000_000


def outcome(data: bytes) -> str:
    """What the services make of a file; anything but an image or a refusal raises."""
    try:
        probe(data, 1 << 20, MOST_PIXELS)
        size = upright_size(data)
        image = decode(data)
    except UnsupportedImageError as error:
        refused = error
    except TooLargeError:
        return "too large"
    else:
        assert (image.mode, image.size) == ("RGB", size)
        return "image"
    assert isinstance(refused.__cause__, ImageError)
    defect = refused.__cause__.__cause__
    place = Path(traceback.extract_tb(defect.__traceback__)[-1].filename) if defect else PILLOW
    assert place.is_relative_to(PILLOW), f"raised by our own code: {defect!r}"
    return "unsupported"


def test_a_broken_file_is_an_image_or_a_refusal() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter[str]()
    for seed in range(EXAMPLES):
        rng = random.Random(seed)
        data = mutated(FILES[seed % len(FILES)], rng)
        try:
            outcomes[outcome(data)] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, file {seed % len(FILES)}")
            raise
    assert all(map(outcome, FILES))
    assert outcomes["image"] > EXAMPLES / 20
    assert outcomes["unsupported"] > EXAMPLES / 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MOST_GROWTH_KIB
    print(dict(outcomes), f"{grown >> 10} MiB more")  # noqa: T201 shown with -s
