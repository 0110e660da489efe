"""Decode and encode AV1 pictures by Pillow's libavif, which keeps 8 bits."""

from io import BytesIO

from PIL import Image

from worker.errors import InvalidInput
from worker.transforms.negate.picture_codec import Nclx, Pixels
from worker.transforms.pictures.decoding import require_memory

_QUALITY = 90
# Flags of the third byte of `av1C` (AV1 in ISOBMFF, 2.3.3).
_HIGH_DEPTH, _TWELVE, _MONOCHROME, _HALF_WIDTH, _HALF_HEIGHT = 0x40, 0x20, 0x10, 0x08, 0x04
_BT601 = 6
# For a pixel; it takes 30. With 10 libaom 3.14 ends the process instead of failing.
_ENCODER_BYTES = 20


class Av1:
    """See `Codec`."""

    name, kind = "AVIF", b"av01"

    def layout(self, configuration: bytes) -> tuple[int, str]:
        """See `Codec`."""
        flags = configuration[2] if len(configuration) > 2 else 0  # noqa: PLR2004
        if flags & _HIGH_DEPTH:
            bits = 12 if flags & _TWELVE else 10
            raise InvalidInput(
                f"the AVIF has {bits} bits per channel: only 8 are supported; convert it to TIFF"
            )
        if flags & _MONOCHROME:
            return 8, "4:0:0"
        if flags & _HALF_WIDTH:
            return 8, "4:2:0" if flags & _HALF_HEIGHT else "4:2:2"
        return 8, "4:4:4"

    def decode(self, file: bytes) -> Pixels:
        """See `Codec`."""
        with Image.open(BytesIO(file), formats=("AVIF",)) as image:
            image.load()
            return Pixels(image.mode, image.size, 8, image.tobytes())

    def encode(self, pixels: Pixels, subsampling: str, nclx: Nclx) -> tuple[bytes, Nclx]:
        """See `Codec`; the matrix is BT.601's in any case."""
        require_memory(_ENCODER_BYTES * pixels.size[0] * pixels.size[1])
        buffer = BytesIO()
        Image.frombytes(pixels.mode, pixels.size, pixels.data).save(
            buffer,
            "AVIF",
            quality=_QUALITY,
            subsampling=subsampling,
            range="full" if nclx.is_full else "limited",
        )
        made = Nclx(nclx.primaries, nclx.transfer, _BT601, nclx.is_full)
        return buffer.getvalue(), made
