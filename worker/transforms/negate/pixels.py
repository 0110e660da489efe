"""Negate the pixels of Pillow images, mode by mode."""

from PIL import Image, ImageChops

from worker.errors import InvalidInput

COMPLEMENT = bytes(range(255, -1, -1))


def negative(image: Image.Image) -> Image.Image:
    """Return the negative of an image.

    Every color or ink becomes 255 − x (65535 − x at 16 bits), under transparent pixels too. Alpha
    stays, and so does `info`, with its transparent color complemented.

    Args:
        image: The image, of any mode that Pillow reads.

    Returns:
        A new image of the same mode and size.

    Raises:
        InvalidInput: The mode is not supported.
    """
    if image.mode in ("1", "L", "RGB", "CMYK"):
        result = ImageChops.invert(image)
    elif image.mode in ("LA", "RGBA"):
        *colors, alpha = image.split()
        result = Image.merge(image.mode, [*map(ImageChops.invert, colors), alpha])
    elif image.mode == "P":
        result = _negative_palette(image)
    elif image.mode.startswith("I;16"):
        # The complement of every byte is the complement of the value, in either byte order.
        result = Image.frombytes(image.mode, image.size, image.tobytes().translate(COMPLEMENT))
    elif image.mode == "I" and image.format == "PPM":  # 16 bits, held in 32
        result = image.point(lambda value: value * -1 + 65535)
    else:
        raise InvalidInput(f"pixels of Pillow's mode {image.mode} are not supported")
    result.info = dict(image.info)
    if "transparency" in result.info and image.mode in ("1", "L", "RGB"):
        result.info["transparency"] = _complement(result.info["transparency"])
    return result


def _negative_palette(image: Image.Image) -> Image.Image:
    result = image.copy()
    palette = image.getpalette("RGBA") or []
    alphas = range(3, len(palette), 4)
    negated = [v if i in alphas else 255 - v for i, v in enumerate(palette)]
    if image.palette and image.palette.mode == "RGBA":
        result.putpalette(negated, "RGBA")
    else:
        result.putpalette([v for i, v in enumerate(negated) if i not in alphas])
    return result


def _complement(color: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """Complement the color that stands for transparent pixels."""
    return 255 - color if isinstance(color, int) else tuple(255 - value for value in color)
