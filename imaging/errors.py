"""Why an image is refused."""


class ImageError(ValueError):
    """The bytes are not an image that can be read; the message is a sentence without its first capital."""


class ImageTooLargeError(ImageError):
    """The image has more pixels than Pillow opens."""
