"""The limit on the size of pictures."""

from worker.errors import InvalidInput

#: The name of the setting in a reason; edge devices have another.
SETTING = "the pipeline's limits.pixels"


def check(pixels: int, limit: int) -> None:
    """Refuse a picture that is too large.

    Args:
        pixels: The pixels of all its frames, pages and levels, as far as they are decoded.
        limit: The most that it may have; a pipeline's setting.

    Raises:
        InvalidInput: It has more.
    """
    if pixels > limit:
        raise InvalidInput(f"it has {pixels:,} pixels, more than {SETTING}, {limit:,}")
