"""Mark faces in a picture."""

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from worker.transforms.faces.face import Face

# By Pillow's mode: what is drawn, and the wider dark line below it.
_COLORS: dict[str, tuple[Any, Any]] = {
    "L": (255, 0),
    "LA": ((255, 255), (0, 255)),
    "RGB": ((255, 220, 0), (0, 0, 0)),
    "RGBA": ((255, 220, 0, 255), (0, 0, 0, 255)),
    "CMYK": ((0, 35, 255, 0), (0, 0, 0, 255)),
    "I;16": (65535, 0),
}
_LINES_PER_SIDE = 400  # the lines' width is this part of the longest side
_TEXT_LINES, _LEAST_TEXT = 8, 14  # the numbers' height in widths of a line, and in pixels


def annotated(image: Image.Image, faces: Sequence[Face]) -> Image.Image:
    """Return a picture with each face's box, number and landmarks.

    Args:
        image: The picture, upright.
        faces: Its faces; the first one has the number 1.

    Returns:
        A copy in the same mode.
    """
    result = image.copy()
    draw, (color, dark) = ImageDraw.Draw(result), _COLORS[image.mode]
    line = max(1, round(max(image.size) / _LINES_PER_SIDE))
    font = ImageFont.load_default(max(_LEAST_TEXT, _TEXT_LINES * line))
    for number, face in enumerate(faces, 1):
        draw.rectangle(face.box, outline=dark, width=3 * line)
        left, upper, right, lower = face.box
        inner = (left + line, upper + line, right - line, lower - line)
        if inner[0] < inner[2] and inner[1] < inner[3]:
            draw.rectangle(inner, outline=color, width=line)
        for x, y in face.landmarks:
            draw.circle((x, y), 2 * line, fill=color, outline=dark)
        draw.text(
            *((left + 4 * line, upper + 4 * line), str(number)),
            font=font, fill=color, stroke_width=line, stroke_fill=dark, anchor="lt",
        )  # fmt: skip
    return result
