import random
import struct

import numpy as np
import pytest
from PIL import Image

from imaging.decode import decode, upright_size
from imaging.orientation import orientation
from tests.images import encode, exif
from tests.images import orientation as entry

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_the_tag_alone_is_read_in_either_byte_order(order: str, turn: int) -> None:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    other = struct.pack(f"{order}HHIH2x", 0x0110, 3, 1, turn % 8 + 1)
    block = start + struct.pack(f"{order}IH", 8, 2) + other + struct.pack(f"{order}HHIH2x", 0x0112, 3, 1, turn)
    for prefix in (b"", b"Exif\0\0", b"Exif\0\0" * 2):
        assert orientation(prefix + block) == turn


@pytest.mark.parametrize(
    "block",
    [b"", b"Exif\0\0", b"none", b"MM\0*", b"MM\0*\xff\xff\xff\xff", exif([entry(0)]), exif([entry(9)]), exif([])]
    + [exif([(0x0112, kind, count, b"\0\6\0\6")]) for kind, count in ((4, 1), (3, 2), (3, 0), (1, 1))]
    + [exif([entry(6)])[:cut] for cut in (9, 12, 19)],
)
def test_what_is_no_orientation_turns_nothing(block: bytes) -> None:
    assert orientation(block) == 1


def test_an_orientation_is_honoured_beside_any_other_tag() -> None:
    rng = random.Random(0)
    for _ in range(300):

        def broken(tag: int) -> tuple[int, int, int, bytes]:
            return tag, rng.choice([*range(14), 99, 65_535]), rng.choice([0, 1, 2, 7, 2**31]), rng.randbytes(4)

        before = [broken(rng.randrange(0x0112)) for _ in range(rng.randrange(4))]
        after = [broken(rng.randrange(0x0113, 0x10000)) for _ in range(rng.randrange(4))]
        data = encode(NOISE, "JPEG", exif=b"Exif\0\0" + exif([*before, entry(6), *after]))
        assert decode(data).size == upright_size(data) == (6, 9)
