"""What a message's content is stored as."""

from typing import NamedTuple

from worker.errors import MessageRefused
from worker.transforms.pictures import formats

MAX_BYTES = 16 << 20


class Kind(NamedTuple):
    """The end of an object's key, and its media type."""

    extension: str
    content_type: str


_OTHER = Kind("bin", "application/octet-stream")
_EXTENSIONS = {
    formats.JPEG: "jpg",
    formats.PNG: "png",
    formats.GIF: "gif",
    formats.TIFF: "tif",
    formats.WEBP: "webp",
    formats.BMP: "bmp",
    formats.AVIF: "avif",
    formats.JPEG_2000: "jp2",
}


def kind_of(content: bytes) -> Kind:
    """Return the kind of a file by its first bytes; what is no picture is the pipeline's affair."""
    found = (one for one in _EXTENSIONS if one.magic.match(content))
    return next((Kind(_EXTENSIONS[one], one.content_type) for one in found), _OTHER)


def check_size(size: int) -> None:
    """Raise MessageRefused unless a message of this size can be a picture."""
    if not size:
        raise MessageRefused("The message is empty: send the picture as its payload.")
    if size > MAX_BYTES:
        raise MessageRefused(
            f"The message has {size} bytes, and {MAX_BYTES} is the limit: send a smaller picture, "
            "or upload it."
        )
