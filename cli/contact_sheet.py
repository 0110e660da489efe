"""The demo's pictures: compared, and on a contact sheet."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

_TILE = (300, 220)
_GAP = 16
_CAPTION = 26
_HEAD = 48
_COLUMNS = 4
_JPEG_LIMIT = 32  # of 255, in the worst pixel
_BACKGROUND, _TEXT, _CAPTION_TEXT, _MISSING = "#fbfaf7", "#22262b", "#7b8189", "#e4e1da"


def contact_sheet(pairs: Sequence[tuple[Path, Path]], target: Path) -> None:
    """Write a PNG with a row for each pair of image files.

    Args:
        pairs: The files before and after.
        target: The PNG; its folder is created.
    """
    width = 2 * _TILE[0] + 3 * _GAP
    row = _TILE[1] + _CAPTION + _GAP
    sheet = Image.new("RGB", (width, _HEAD + row * len(pairs) + _GAP // 2), _BACKGROUND)
    draw, title = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    draw.text((_GAP, 14), "before", _TEXT, title)
    draw.text((2 * _GAP + _TILE[0], 14), "after", _TEXT, title)
    for number, pair in enumerate(pairs):
        top = _HEAD + number * row
        for column, path in enumerate(pair):
            _add(sheet, _GAP + column * (_TILE[0] + _GAP), top, path.name, path)
    _save(sheet, target)


def gallery(pictures: Sequence[tuple[str, Path]], target: Path) -> None:
    """Write a PNG with up to four pictures in a row, each with its caption below.

    Args:
        pictures: Caption and image file of each.
        target: The PNG; its folder is created.
    """
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = _TILE[0] + _GAP, _TILE[1] + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), _BACKGROUND)
    for number, (caption, path) in enumerate(pictures):
        row, column = divmod(number, columns)
        _add(sheet, _GAP + column * width, _GAP + row * height, caption, path)
    _save(sheet, target)


def is_negative(before: Path, after: Path) -> bool | None:
    """Whether an image is the negative of another; JPEG may differ by rounding.

    Args:
        before: The image file.
        after: What may be its negative.

    Returns:
        None if the images cannot be compared here: Pillow decodes fewer formats than the worker.
    """
    one, other = _decoded(before), _decoded(after)
    if one is None or other is None:
        return None
    if one.size != other.size:
        return False
    difference = ImageChops.difference(ImageOps.invert(one), other)
    limit = 0 if after.suffix == ".png" else _JPEG_LIMIT
    return max(int(high) for _, high in difference.getextrema()) <= limit  # type: ignore[misc]


def _add(sheet: Image.Image, left: int, top: int, caption: str, path: Path) -> None:
    """Add a picture to a sheet, its caption below."""
    if (picture := _decoded(path)) is None:
        picture, caption = Image.new("RGB", _TILE, _MISSING), f"{caption} (not shown)"
    sheet.paste(ImageOps.pad(picture, _TILE, color=_BACKGROUND), (left, top))
    below, small = (left, top + _TILE[1] + 5), ImageFont.load_default(13)
    ImageDraw.Draw(sheet).text(below, _short(caption), _CAPTION_TEXT, small)


def _decoded(path: Path) -> Image.Image | None:
    """Return an image in RGB and upright; None if Pillow does not decode it."""
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError):
        return None
    if upright.mode.startswith("I;16"):
        upright = upright.point(lambda value: value / 256, "L")  # `convert` would clip at 255
    return upright.convert("RGB")


def _save(sheet: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target, optimize=True)


def _short(name: str, limit: int = 40) -> str:
    return name if len(name) <= limit else f"{name[: limit - 9]}…{name[-8:]}"
