"""The negative of an image's pixels, mode by mode; alpha stays."""

from PIL import Image, ImageChops

from worker.errors import InvalidInput

_COMPLEMENT = bytes(range(255, -1, -1))


def negative(image: Image.Image) -> Image.Image:
    """255 - x of every colour or ink (65535 - x at 16 bits), also under transparent pixels."""
    if image.mode in ("1", "L", "RGB", "CMYK"):
        result = ImageChops.invert(image)
    elif image.mode in ("LA", "RGBA"):
        *colours, alpha = image.split()
        result = Image.merge(image.mode, [*map(ImageChops.invert, colours), alpha])
    elif image.mode == "P":
        result = image.copy()
        palette = image.getpalette("RGBA") or []
        colours_only = [v if i % 4 == 3 else 255 - v for i, v in enumerate(palette)]  # noqa: PLR2004
        if image.palette and image.palette.mode == "RGBA":
            result.putpalette(colours_only, "RGBA")
        else:
            result.putpalette([v for i, v in enumerate(colours_only) if i % 4 != 3])  # noqa: PLR2004
    elif image.mode.startswith("I;16"):
        # Every byte's complement is the value's, whichever byte comes first.
        result = Image.frombytes(image.mode, image.size, image.tobytes().translate(_COMPLEMENT))
    elif image.mode == "I" and image.format == "PPM":  # 16 bits, held in 32
        result = image.point(lambda value: value * -1 + 65535)
    else:
        raise InvalidInput(f"pixels of the kind {image.mode} have no negative here")
    result.info = dict(image.info)
    if "transparency" in result.info and image.mode in ("1", "L", "RGB"):
        result.info["transparency"] = _complemented(result.info["transparency"])
    return result


def _complemented(colour: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """The colour that stands for transparent is a colour too."""
    return 255 - colour if isinstance(colour, int) else tuple(255 - value for value in colour)
