"""The complement of pixels: of single bytes, and of Pillow's images."""

from PIL import Image, ImageChops

COMPLEMENT = bytes(range(255, -1, -1))


def negative(image: Image.Image) -> Image.Image:
    """Return the negative of an RGB or RGBA image; alpha stays, colors below it change too."""
    if image.mode == "RGB":
        return ImageChops.invert(image)
    *colors, alpha = image.split()
    return Image.merge(image.mode, [*map(ImageChops.invert, colors), alpha])
