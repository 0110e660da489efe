"""Pictures to be negated, made of photographs."""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
PACKAGED = Path("/usr/share/backgrounds/mate")  # Debian's mate-backgrounds

#: P: a mosaic of photographs; E: a piece of a large painting's scan; the number: megapixels.
SIZES = {"P12": (4240, 2832), "P2": (1734, 1158), "E12": (4240, 2832)}
_HOW: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG q90": ("jpg", {"quality": 90}),
    "JPEG 4:4:4 q95": ("jpg", {"quality": 95, "subsampling": 0}),
    "JPEG progressive": ("jpg", {"quality": 90, "progressive": True}),
    "PNG": ("png", {}),
    "PNG palette": ("png", {}),
    "GIF": ("gif", {}),
}


class Gallery:
    """Photographs of a folder: mosaics of the four largest, and the largest scan."""

    def __init__(self, folder: Path) -> None:
        found = sorted(folder.rglob("*.jpg"))
        taken = sorted(
            (path for path in found if path.parent.name != "abstract"),  # there lies the painting
            key=lambda path: -path.stat().st_size,
        )
        self._photos = [Image.open(path).convert("RGB") for path in taken[:4]]
        scans = [path for path in found if _fits(Image.open(path).size, SIZES["E12"])]
        self._scan = scans[-1] if scans else None

    def image(self, name: str) -> Image.Image | None:
        """By its name in SIZES; None where the folder has no scan."""
        if name.startswith("E"):
            if not self._scan:
                return None
            return Image.open(self._scan).convert("RGB").crop((0, 0, *SIZES[name]))
        return self.mosaic(*SIZES[name])

    def mosaic(self, width: int, height: int, first: int = 0) -> Image.Image:
        """Two rows of two photographs, beginning with one of the four."""
        mosaic = Image.new("RGB", (width, height))
        tile = (-(-width // 2), -(-height // 2))
        for i in range(4):
            image = self._photos[(first + i) % len(self._photos)]
            mosaic.paste(ImageOps.fit(image, tile), (i % 2 * tile[0], i // 2 * tile[1]))
        return mosaic

    def files(self, folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Path]]:
        """Write pictures (`P12 JPEG q90`: a size and a form) one by one."""
        for name in names:
            size, _, form = name.partition(" ")
            image = self.image(size)
            if image:
                suffix, options = _HOW[form]
                if form in ("PNG palette", "GIF"):
                    image = image.quantize(256)
                path = folder / f"{name.replace(' ', '-').replace(':', '')}.{suffix}"
                image.save(path, **options)
                yield name, path

    def uploads(self, size: tuple[int, int], quality: int = 90) -> "Uploads":
        """Photographs to send."""
        made = []
        for first in range(4):
            buffer = io.BytesIO()
            self.mosaic(*size, first).save(buffer, "JPEG", quality=quality)
            made.append(buffer.getvalue())
        return Uploads(made)


class Uploads:
    """As many photographs as one likes, all of distinct bytes."""

    def __init__(self, files: Sequence[bytes]) -> None:
        self._files = files

    def __call__(self, number: int) -> tuple[str, bytes]:
        """Key and content: a comment segment (T.81, B.2.4.5) behind JFIF's tells them apart."""
        data, text = self._files[number % len(self._files)], b"%08d" % number
        head = 4 + int.from_bytes(data[4:6], "big")
        comment = b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text
        return f"{number:06d}.jpg", data[:head] + comment + data[head:]


def _fits(size: tuple[int, int], least: tuple[int, int]) -> bool:
    return size[0] >= least[0] and size[1] >= least[1]
