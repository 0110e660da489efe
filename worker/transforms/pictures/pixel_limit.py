"""The limit on the size of pictures."""

from worker.errors import InvalidInput


def check(pixels: int, limit: int) -> None:
    """Raise InvalidInput if a picture has more pixels than the limit."""
    if pixels > limit:
        raise InvalidInput(f"more than {limit} pixels")
