"""CPU time (user + system) an image of our negation against others', in one run, in turns.

python -m bench.kernels [--photos FOLDER] [--turns 7] [--quick] [--json]

Photographs: FOLDER's four largest files (Debian's mate-backgrounds: /usr/share/backgrounds/mate,
found by itself), else samples/. P12 and P2 are mosaics of them of 4240 x 2832 and 1734 x 1158
pixels, E12 a piece of a large painting's scan where FOLDER has one. ImageMagick is
timed as a process of its own, as users run it; Pillow, libvips (where pyvips is installed) and
libjpeg-turbo's identity transcode (tjTransform, where libturbojpeg is installed) inside this
process, from file to file like ours. Each turn runs every way once; a ratio is of one turn, so slow
moments of the machine cancel.
"""

import argparse
import ctypes
import ctypes.util
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageOps, JpegImagePlugin

from tests.worker.kernel_build import imagemagick
from worker.transforms import kernels, negate

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = Path("/usr/share/backgrounds/mate")
SIZES = {"P12": (4240, 2832), "P2": (1734, 1158)}
Way = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Row:
    """One way on one file."""

    picture: str
    way: str
    milliseconds: float  # the least of all turns
    ratio: float  # its CPU time to ours: the median of all turns
    ratio_least: float
    ratio_most: float
    size: float  # of the result to the source


def cpu() -> float:
    """Seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def pictures(folder: Path, photos: Path, names: list[str]) -> dict[str, Path]:
    """Write the pictures to be negated."""
    found = sorted(photos.rglob("*.jpg"))
    photographs = [path for path in found if path.parent.name != "abstract"]  # the painting
    photographs.sort(key=lambda path: -path.stat().st_size)
    small = [Image.open(path).convert("RGB") for path in photographs[:4]]
    scans = [path for path in found if Image.open(path).size >= SIZES["P12"]]
    made = {}
    for size, (width, height) in SIZES.items():
        mosaic = Image.new("RGB", (width, height))
        tile = (width // 2, -(-height // 2))
        for i, image in enumerate((small * 4)[:4]):
            place = (i % 2 * tile[0], i // 2 * tile[1])
            mosaic.paste(ImageOps.fit(image, tile), place)
        made[size] = mosaic
    if scans:
        made["E12"] = Image.open(scans[-1]).convert("RGB").crop((0, 0, *SIZES["P12"]))
    how: dict[str, tuple[str, dict[str, Any]]] = {
        "q90": ("jpg", {"quality": 90}),
        "4:4:4 q95": ("jpg", {"quality": 95, "subsampling": 0}),
        "progressive": ("jpg", {"quality": 90, "progressive": True}),
        "PNG": ("png", {}),
        "palette PNG": ("png", {}),
        "GIF": ("gif", {}),
    }
    paths = {}
    for name in names:
        size, _, form = name.partition(" ")
        if size not in made:
            continue
        suffix, options = how[form]
        image = made[size].quantize(256) if form in ("palette PNG", "GIF") else made[size]
        paths[name] = folder / f"{name.replace(' ', '-').replace(':', '')}.{suffix}"
        image.save(paths[name], **options)
    return paths


def ours(source: Path, target: Path) -> None:
    """The worker's transform, as its child calls it."""
    negate.apply(source, target, {"pixels": 250_000_000})


def copy(source: Path, target: Path) -> None:
    """Nothing but the bytes."""
    shutil.copyfile(source, target)


def _pillow(invert: Callable[[Image.Image], Image.Image]) -> Way:
    def run(source: Path, target: Path) -> None:
        with Image.open(source) as image:
            options: dict[str, Any] = {}
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                options["qtables"] = image.quantization
                options["subsampling"] = JpegImagePlugin.get_sampling(image)
                options["progressive"] = bool(image.info.get("progressive"))
            kind = image.format
            image.load()
            rgb = image.convert("RGB") if image.mode == "P" else image
            invert(rgb).save(target, kind, **options)

    return run


def _imagemagick(source: Path, target: Path) -> None:
    subprocess.run([str(imagemagick()), source, "-negate", target], check=True)


def _vips() -> Way | None:
    try:
        pyvips = import_module("pyvips")
    except ImportError:
        return None

    def run(source: Path, target: Path) -> None:
        image = pyvips.Image.new_from_file(str(source), access="sequential")
        options = {"Q": 95 if "q95" in source.name else 90} if source.suffix == ".jpg" else {}
        if "progressive" in source.name:
            options["interlace"] = True
        image.invert().write_to_file(str(target), **options)

    return run


def _identity() -> Way | None:
    """tjTransform without an operation: decoding and coding of the entropy-coded data alone."""
    path = ctypes.util.find_library("turbojpeg")
    if not path:
        return None
    library = ctypes.CDLL(path)
    library.tjInitTransform.restype = ctypes.c_void_p
    pointer, size = ctypes.c_void_p, ctypes.c_ulong

    def run(source: Path, target: Path) -> None:
        data, made, length = source.read_bytes(), pointer(), size()
        handle = pointer(library.tjInitTransform())
        # tjtransform: x, y, w, h, op, options (32: progressive), data, filter
        options = 32 if "progressive" in source.name else 0
        transform = (ctypes.c_int * 10)(0, 0, 0, 0, 0, options)
        answer = library.tjTransform(
            *(handle, data, size(len(data)), 1, ctypes.byref(made), ctypes.byref(length)),
            *(transform, 0),
        )
        if answer:
            raise RuntimeError("libjpeg-turbo did not transcode it")
        target.write_bytes(ctypes.string_at(made, length.value))
        library.tjFree(made)
        library.tjDestroy(handle)

    return run


def ways(path: Path) -> dict[str, Way]:
    """What can negate (or, as a yardstick, transcode or copy) a file here."""
    found: dict[str, Way | None] = {"ours": ours}
    if imagemagick():
        found["convert -negate"] = _imagemagick
    found["Pillow ImageOps.invert"] = _pillow(ImageOps.invert)
    found["Pillow ImageChops.invert"] = _pillow(ImageChops.invert)
    found["Pillow point"] = _pillow(lambda image: image.point(lambda value: 255 - value))
    found["pyvips"] = _vips()
    if path.suffix == ".jpg":
        found["identity transcode"] = _identity()
    if path.suffix == ".gif" or "palette" in path.name:
        found["plain copy"] = copy
    return {name: way for name, way in found.items() if way}


def measure(name: str, path: Path, turns: int) -> list[Row]:
    """All ways on one file."""
    target = path.with_name(f"target{path.suffix}")
    found = ways(path)
    times: dict[str, list[float]] = {way: [] for way in found}
    sizes = {}
    for turn in range(turns + 1):
        for way, run in found.items():
            before = cpu()
            run(path, target)
            if turn:  # the first one warms up
                times[way].append(max(cpu() - before, 1e-6))
            sizes[way] = target.stat().st_size / path.stat().st_size
    rows = []
    for way, taken in times.items():
        ratios = [other / own for other, own in zip(taken, times["ours"], strict=True)]
        middle = statistics.median(ratios)
        rows.append(Row(name, way, min(taken) * 1000, middle, min(ratios), max(ratios), sizes[way]))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=PACKAGED if PACKAGED.is_dir() else None)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = ["P2 q90", "P2 progressive", "P2 PNG", "P2 palette PNG", "P2 GIF"]
    if not options.quick:
        names += ["P12 q90", "P12 4:4:4 q95", "E12 q90", "P12 progressive", "P12 PNG"]
    if kernels.library is None:
        print("The compiled kernels are not there: python -m worker.transforms.build")
    with tempfile.TemporaryDirectory() as folder:
        paths = pictures(Path(folder), options.photos or ROOT / "samples", names)
        turns = 2 if options.quick else options.turns
        rows = [row for name, path in paths.items() for row in measure(name, path, turns)]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    print(f"{'picture':16}{'way':26}{'CPU ms':>9}{'to ours':>9}  least to most   size")
    for row in rows:
        spread = f"{row.ratio_least:6.1f} to {row.ratio_most:.1f}"
        print(
            f"{row.picture:16}{row.way:26}{row.milliseconds:9.2f}{row.ratio:9.2f}"
            f"  {spread:15}{row.size:6.3f}"
        )


if __name__ == "__main__":
    main()
