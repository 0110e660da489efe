"""The size of a thumbnail, and which part of the picture it shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """What becomes of a picture.

    Attributes:
        width: Of the thumbnail.
        height: Of the thumbnail.
        scale: Its pixels per pixel of the picture.
        box: The part of the picture that it shows: left, upper, right, lower.
    """

    width: int
    height: int
    scale: float
    box: tuple[float, float, float, float]


def choose(picture: tuple[int, int], largest: tuple[int, int], *, crop: bool) -> Size:
    """Choose the size of a thumbnail.

    Args:
        picture: Width and height of the picture.
        largest: Width and height that the thumbnail may have.
        crop: Whether it fills them, and the picture is cut; otherwise the picture fits inside.

    Returns:
        The size; the picture is never enlarged.
    """
    ratios = [limit / length for limit, length in zip(largest, picture, strict=True)]
    scale = min(1.0, max(ratios) if crop else min(ratios))
    width, height = (
        max(1, min(limit, round(length * scale)))
        for limit, length in zip(largest, picture, strict=True)
    )
    if not crop:
        return Size(width, height, scale, (0, 0, *picture))
    starts, ends = [], []
    for length, kept in zip(picture, (width, height), strict=True):
        shown = min(length, kept / scale)
        # Unscaled pixels stay as they are: not cut in halves.
        start = (length - shown) // 2 if scale == 1 else (length - shown) / 2
        starts.append(start)
        ends.append(start + shown)
    return Size(width, height, scale, (starts[0], starts[1], ends[0], ends[1]))
