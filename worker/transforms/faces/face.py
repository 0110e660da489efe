"""A face: where it is, and how it appears in a record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: The five landmarks in the order of the model; left and right are those of the picture.
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
# EXIF 2.32, tag 274: the orientations that exchange width and height, and those in which the shown
# left or upper edge is at the right or lower end of the stored picture.
_SWAPPED, _FROM_RIGHT, _FROM_BOTTOM = (5, 6, 7, 8), (2, 3, 7, 8), (3, 4, 6, 7)

#: Left, upper, right and lower edge.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """A face that was found.

    Attributes:
        box: In pixels of the upright picture; within it.
        score: Between 0 and 1.
        landmarks: x and y of each of LANDMARKS, in the same pixels.
    """

    box: Box
    score: float
    landmarks: Sequence[tuple[float, float]]

    @classmethod
    def within(cls, size: tuple[int, int], box: Any, score: Any, landmarks: Any) -> "Face":
        """Return a face, its box cut off at the edges of the picture.

        Args:
            size: Width and height of the picture.
            box: An array of left and upper edge, width and height.
            score: Its score.
            landmarks: An array of the shape (5, 2): x and y of each.
        """
        left, upper, width, height = (float(value) for value in box)
        return cls(
            (
                *(max(0.0, left), max(0.0, upper)),
                *(min(float(size[0]), left + width), min(float(size[1]), upper + height)),
            ),
            min(1.0, float(score)),
            [(float(x), float(y)) for x, y in landmarks],
        )

    def scaled(self, across: float, down: float) -> "Face":
        """Return the face in a picture that is larger by these factors."""
        left, upper, right, lower = self.box
        return Face(
            (left * across, upper * down, right * across, lower * down),
            self.score,
            [(x * across, y * down) for x, y in self.landmarks],
        )

    def record(self) -> dict[str, object]:
        """Return the face as a record: whole pixels, landmarks to a tenth."""
        left, upper, right, lower = (round(edge) for edge in self.box)
        return {
            "x": left,
            "y": upper,
            "width": right - left,
            "height": lower - upper,
            "score": round(self.score, 4),
            "landmarks": {
                name: [round(x, 1), round(y, 1)]
                for name, (x, y) in zip(LANDMARKS, self.landmarks, strict=True)
            },
        }

    def crop(self, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the box with a margin, in whole pixels.

        Args:
            margin: At each side, as a part of the box's width or height.
            size: Width and height of the upright picture, which the result does not exceed.

        Returns:
            A box of at least one pixel.
        """
        left, upper, right, lower = self.box
        across, down = margin * (right - left), margin * (lower - upper)
        x = min(max(0, round(left - across)), size[0] - 1)
        y = min(max(0, round(upper - down)), size[1] - 1)
        return (
            *(x, y),
            max(x + 1, min(size[0], round(right + across))),
            max(y + 1, min(size[1], round(lower + down))),
        )


def stored(
    box: tuple[int, int, int, int], orientation: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return where a box of the upright picture is in the stored one.

    Args:
        box: In the upright picture.
        orientation: How the stored picture is turned, as EXIF numbers it.
        size: Width and height of the stored picture.
    """
    left, upper, right, lower = box
    if orientation in _SWAPPED:
        left, upper, right, lower = upper, left, lower, right
    if orientation in _FROM_RIGHT:
        left, right = size[0] - right, size[0] - left
    if orientation in _FROM_BOTTOM:
        upper, lower = size[1] - lower, size[1] - upper
    return left, upper, right, lower
