"""Encoding of images, and the few that a run keeps for its report."""

import base64
import hashlib
import io
import re
from pathlib import Path

import PIL
import pytest
from PIL import Image

from clients.replay.asking.images import EncodedImage, blank_image, keep_images
from clients.replay.run.folder import kept_path
from clients.replay.run.machine import Machine, client_versions


def encoded(size: tuple[int, int] = (24, 12), red: int = 9, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, 9, 9)).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def kept(folder: Path, contents: dict[str, bytes], seed: int = 0) -> set[str]:
    """The keys of the images kept in the folder, regardless of order."""
    folder.mkdir(exist_ok=True)
    keep_images(list(contents), contents.__getitem__, folder, seed)
    names = {path.name for path in folder.iterdir()}
    return {key for key, content in contents.items() if kept_path(folder, digest(content)).name in names}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_an_image_is_sent_as_it_is_with_the_sum_of_its_bytes() -> None:
    content = bytes(range(256))
    assert EncodedImage.of(content) == EncodedImage(base64.b64encode(content).decode(), digest(content))


def test_the_blank_image_is_an_image_with_its_own_sum() -> None:
    blank = blank_image()
    content = base64.b64decode(blank.base64)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size, image.getcolors()) == ("PNG", (112, 112), [(112 * 112, (208, 208, 208))])
    assert blank == EncodedImage.of(content)


def chosen(keys: list[str], folder: Path, seed: int) -> list[str]:
    """The keys that are read, in reading order."""
    read: list[str] = []

    def no_image(key: str) -> bytes:
        read.append(key)
        return b""

    keep_images(keys, no_image, folder, seed)
    return read


def test_forty_eight_of_many_are_kept_drawn_by_the_seed_over_all_and_read_in_the_data_s_order(tmp_path: Path) -> None:
    keys = [f"{number * 37 % 100}.png" for number in range(100)]
    first, again, other = (chosen(keys, tmp_path, seed) for seed in (1, 1, 2))
    assert len(set(first)) == len(set(other)) == 48
    assert first == again != other
    assert first == sorted(first, key=keys.index)
    assert 10 < len(set(first) & set(keys[:48])) < 38, "neither the first nor the last"


def test_all_are_kept_where_there_are_few(tmp_path: Path) -> None:
    contents = {f"{number}.png": encoded(red=number) for number in range(7)}
    assert kept(tmp_path / "kept", contents) == set(contents)
    assert kept(tmp_path / "none", {}) == set()
    keys = [str(number) for number in range(48)]
    assert chosen(keys, tmp_path, 0) == keys


@pytest.mark.parametrize(
    ("size", "kept_size"),
    [((1120, 280), (560, 140)), ((100, 700), (80, 560)), ((560, 560), (560, 560)), ((9, 5), (9, 5))],
)
def test_a_copy_fits_560_pixels_and_is_never_enlarged(
    size: tuple[int, int], kept_size: tuple[int, int], tmp_path: Path
) -> None:
    content = encoded(size, mode="RGBA")
    keep_images(["a"], lambda _: content, tmp_path, 0)
    (path,) = tmp_path.iterdir()
    assert path.name == f"{digest(content)[:16]}.webp"
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("WEBP", kept_size, "RGB")


def test_a_copy_is_what_the_service_reads(tmp_path: Path) -> None:
    image = Image.new("LA", (30, 20), (0, 0))
    image.paste((0, 255), (0, 0, 15, 20))
    tag = image.getexif()
    tag[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=tag)
    keep_images(["a"], lambda _: buffer.getvalue(), tmp_path, 0)
    (path,) = tmp_path.iterdir()
    with Image.open(path) as copy:
        assert copy.size == (20, 30), "upright"
        assert [copy.convert("L").getpixel(at) for at in ((10, 5), (10, 25))] == [0, 255], "transparent is white"


def test_what_cannot_be_kept_costs_the_report_an_example_and_nothing_else(tmp_path: Path) -> None:
    broken = encoded((30, 30))[:40]
    whole = encoded((30, 30))
    length = whole.index(b"IDAT") - 4
    no_chunk = whole[:length] + (10).to_bytes(4) + whole[length + 4 :]  # a SyntaxError to Pillow
    contents = {"gone": b"", "text": b"no image", "broken": broken, "chunk": no_chunk, "good": encoded()}
    assert kept(tmp_path / "kept", contents) == {"good"}
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".webp"]


def test_an_image_that_is_kept_is_not_written_again(tmp_path: Path) -> None:
    content = encoded()
    kept_path(tmp_path, digest(content)).write_bytes(b"as it was")
    keep_images(["a"], lambda _: content, tmp_path, 0)
    assert kept_path(tmp_path, digest(content)).read_bytes() == b"as it was"


def test_the_machine_is_named_by_its_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = re.findall(r"^model name\s*:\s*(.*\S)", told, re.MULTILINE) or [Machine.this().cpu]
    assert Machine.this().cpu == names[0]
    assert Machine.this().cores >= 1
    assert Machine.this().system.startswith("Linux ")
    monkeypatch.setattr("clients.replay.run.machine.Path", lambda _: tmp_path / "none")
    assert Machine.this().cpu, "something, where there is no such file"


def test_the_versions_of_what_the_client_hangs_on_are_named() -> None:
    versions = client_versions()
    assert set(versions) == {"python", "tallyglass", "httpx", "pydantic", "pillow"}
    assert versions["pillow"] == PIL.__version__
