import struct

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from imaging.colours import to_srgb
from imaging.decode import decode
from imaging.errors import ImageError
from imaging.profiles import CURVE_OF_SRGB, PRIMARIES_OF_SRGB, matrix_profile, power_curve
from tests.images import cmyk_profile, encode, gif_with_offset, grey_profile

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 11, 3), dtype=np.uint8))
P3 = matrix_profile(((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), CURVE_OF_SRGB)
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
"""Of linear light, as published."""
SRGB = matrix_profile(PRIMARIES_OF_SRGB, CURVE_OF_SRGB)


def linear(encoded: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def test_a_profile_of_colours_is_honoured() -> None:
    expected = encoded(linear(np.asarray(NOISE) / 255) @ P3_TO_SRGB.T) * 255
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        read = np.asarray(decode(encode(NOISE, form, icc_profile=P3, **options)))
        assert np.abs(read - expected).max() < 2
    assert np.abs(np.asarray(NOISE) - expected).max() > 20


def test_a_profile_leaves_transparency_alone() -> None:
    clear = NOISE.copy()
    clear.putalpha(0)
    assert decode(encode(clear, icc_profile=P3)).getcolors() == [(88, (255, 255, 255))]


@pytest.mark.parametrize(
    "profile",
    [
        SRGB,
        b"none" * 99,
        (P3 or b"")[:150],
        (P3 or b"").replace(b"rTRC", b"none"),
        grey_profile(1.0),
        (P3 or b"").replace(b"RGB ", b"\xff\xff\xff\xff"),
        cmyk_profile([(0, 0, 0)] * 16),
    ],
    ids=["sRGB", "no profile", "cut off", "incomplete", "grey", "unreadable", "inks"],
)
def test_a_profile_that_changes_nothing_or_does_not_fit_is_as_good_as_none(profile: bytes) -> None:
    assert np.array_equal(np.asarray(decode(encode(NOISE, icc_profile=profile))), np.asarray(NOISE))


def test_greys_may_be_described_as_colours() -> None:
    linear_light = matrix_profile(PRIMARIES_OF_SRGB, power_curve(1.0))
    image = Image.fromarray(np.array([[0, 32, 128, 255]], np.uint8))
    for profile in (linear_light, grey_profile(1.0)):
        read = np.asarray(decode(encode(image, icc_profile=profile))).astype(int)
        assert np.abs(read[0, :, 0] - [0, 99, 188, 255]).max() <= 1
        assert (read == read[..., :1]).all()


def test_inks_are_read_by_their_profile() -> None:
    """White paper, and L* of 50 for every mixture that has cyan, which is 119 of 255 in sRGB."""
    image = Image.new("CMYK", (32, 16), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (16, 0, 32, 16))
    profile = cmyk_profile([(255, 128, 128)] * 8 + [(128, 128, 128)] * 8)
    read = decode(encode(image, "JPEG", quality=100, icc_profile=profile))
    assert read.getpixel((3, 8)) == (255, 255, 255)
    assert np.abs(np.array(read.getpixel((28, 8))) - 119).max() <= 2
    assert decode(encode(image, "JPEG", quality=100)).getpixel((28, 8)) == (0, 255, 255)


@pytest.mark.parametrize("mode", ["F", "I", "LAB", "HSV", "La", "RGBa", "I;16B"])
def test_a_mode_that_no_format_has_is_named(mode: str) -> None:
    with pytest.raises(ImageError, match=f"mode {mode}"):
        to_srgb(Image.new(mode, (2, 2)), None)


def test_primaries_of_no_colour_make_no_profile() -> None:
    for point in ((0.3, 0.0), (0.3127, 0.3290)):
        assert matrix_profile((PRIMARIES_OF_SRGB[0], point, point, point), CURVE_OF_SRGB) is None


def test_what_a_gif_does_not_cover_is_white() -> None:
    frame = Image.new("P", (2, 3))
    frame.putpalette([9, 99, 199])
    read = np.asarray(decode(gif_with_offset(frame, (5, 4), (1, 1))))
    assert read.shape == (4, 5, 3)
    assert (read[1:4, 1:3] == [9, 99, 199]).all()
    assert (read == 255).all(axis=2).sum() == 20 - 6


def test_of_an_animation_for_some_viewers_its_own_first_frame_is_read() -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], save_all=True, append_images=frames[1:], default_image=True)
    assert decode(data).getcolors() == [(12, (0, 255, 0))]


def test_an_mpo_is_its_first_image() -> None:
    data = encode(Image.new("L", (16, 8), 77), "MPO", save_all=True, append_images=[Image.new("L", (16, 8))])
    assert struct.unpack(">H", data[:2]) == (0xFFD8,)
    assert decode(data).getpixel((3, 3)) == (77, 77, 77)
