"""Types and JPEG encoding for everything that is drawn here."""

import io

from PIL import Image

RGB = tuple[int, int, int]
Point = tuple[float, float]


def jpeg_bytes(image: Image.Image, quality: int, **options: int) -> bytes:
    """The image as a JPEG file; ``options`` are those of Pillow's encoder."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality, **options)
    return file.getvalue()


def with_jpeg_artefacts(image: Image.Image, quality: int) -> Image.Image:
    """The image after a round trip through JPEG."""
    return Image.open(io.BytesIO(jpeg_bytes(image, quality))).convert("RGB")
