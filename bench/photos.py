"""Pictures to measure on, made from a folder of photographs."""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
PACKAGED = Path("/usr/share/backgrounds/mate")  # Debian's mate-backgrounds

#: P: mosaic of photographs; E: part of the scan of a large painting; then megapixels.
SIZES = {"P12": (4240, 2832), "P2": (1734, 1158), "E12": (4240, 2832)}
SMALL = (256, 192)  # photographs of at most 20 KB
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG q90": ("jpg", {"quality": 90}),
    "JPEG 4:4:4 q95": ("jpg", {"quality": 95, "subsampling": 0}),
    "JPEG progressive": ("jpg", {"quality": 90, "progressive": True}),
    "PNG": ("png", {}),
    "PNG palette": ("png", {}),
    "GIF": ("gif", {}),
}


class PhotoSet:
    """Photographs of a folder: mosaics of the four largest, and the largest scan."""

    def __init__(self, folder: Path) -> None:
        found = sorted(folder.rglob("*.jpg"))
        taken = sorted(
            (path for path in found if path.parent.name != "abstract"),  # the scan of the painting
            key=lambda path: -path.stat().st_size,
        )
        self._photos = [Image.open(path).convert("RGB") for path in taken[:4]]
        scans = [path for path in found if _fits(Image.open(path).size, SIZES["E12"])]
        self._scan = scans[-1] if scans else None

    def image(self, name: str) -> Image.Image | None:
        """Return a picture by its name in SIZES; None if the folder has no scan."""
        if name.startswith("E"):
            if not self._scan:
                return None
            return Image.open(self._scan).convert("RGB").crop((0, 0, *SIZES[name]))
        return self.mosaic(*SIZES[name])

    def mosaic(self, width: int, height: int, first: int = 0) -> Image.Image:
        """Return two rows of two photographs, starting with photograph `first`."""
        mosaic = Image.new("RGB", (width, height))
        tile = (-(-width // 2), -(-height // 2))
        for i in range(4):
            image = self._photos[(first + i) % len(self._photos)]
            mosaic.paste(ImageOps.fit(image, tile), (i % 2 * tile[0], i // 2 * tile[1]))
        return mosaic

    def files(self, folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """Write pictures by name (`P12 JPEG q90`: a size and a format), one at a time."""
        for name in names:
            size, _, form = name.partition(" ")
            image = self.image(size)
            if image:
                suffix, options = _FORMATS[form]
                if form in ("PNG palette", "GIF"):
                    image = image.quantize(256)
                path = folder / f"{name.replace(' ', '-').replace(':', '')}.{suffix}"
                image.save(path, **options)
                yield name, path

    def uploads(self, size: tuple[int, int], quality: int = 90) -> "Uploads":
        """Return photographs to upload."""
        made = []
        for first in range(4):
            made.append(encoded(self.mosaic(*size, first), quality))
        return Uploads(made)


class Uploads:
    """Any number of photographs with distinct bytes."""

    def __init__(self, files: Sequence[bytes]) -> None:
        self._files = files

    def __call__(self, number: int) -> tuple[str, bytes]:
        """Return key and content; a comment segment (ITU-T T.81, B.2.4.5) makes them distinct."""
        data, text = self._files[number % len(self._files)], b"%08d" % number
        head = 4 + int.from_bytes(data[4:6], "big")
        comment = b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text
        return f"{number:06d}.jpg", data[:head] + comment + data[head:]


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    """Return a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _fits(size: tuple[int, int], least: tuple[int, int]) -> bool:
    return size[0] >= least[0] and size[1] >= least[1]
