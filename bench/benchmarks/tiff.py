"""CPU time and memory of TIFFs that are negated by their strips and tiles."""

import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from bench import alternatives, usage
from bench.alternatives import CONVERT, VIPS
from bench.benchmark import Result, Setup
from bench.imagemagick import find_convert
from bench.peak_memory import peak_memory
from bench.photos import PhotoSet
from bench.table import Table
from cli.terminal import print_progress

TITLE = "TIFFs by their strips and tiles"
TEXT = """CPU time (user + system, children included) from file to file, ways alternating; ratios
are of one turn: the median, the least and the largest. RGB of 16 bits: a mosaic of photographs
whose low bytes are noise, written by `convert`, which runs as a separate process. The pyramid has
256 × 256 JPEG tiles at quality 90 and all reduced levels; libvips inverts it and saves it
likewise, in this process. Size: of the result to the source's. Extra memory: the largest resident
set (`VmHWM`, pages of the mapped source count) less that for a picture of 64 × 64 pixels. Twice:
the largest difference between the source's pixels and those of the negative's negative."""

_SIZES = {False: ((4240, 2832), (12248, 8165)), True: ((1734, 1158), (2048, 2048))}
# ImageMagick's options: its default predictor is 2.
_STRIPS = {
    "no compression": ["-compress", "none"],
    "LZW": ["-define", "tiff:predictor=1", "-compress", "lzw"],
    "LZW, predictor 2": ["-compress", "lzw"],
    "Deflate": ["-define", "tiff:predictor=1", "-compress", "zip"],
    "Deflate, predictor 2": ["-compress", "zip"],
}
_PYRAMID: Mapping[str, Any] = {
    "tile": True,
    "tile_width": 256,
    "tile_height": 256,
    "pyramid": True,
    "compression": "jpeg",
    "Q": 90,
}
_NAME = "pyramid of JPEG tiles"
_MEGABYTE = 1e6

_Way = Callable[[Path, Path], object]


@dataclass(frozen=True)
class _Row:
    """Our way against another one, on one file."""

    milliseconds: float  # the least
    ratio: tuple[float, float, float]  # median, least, largest
    size: float


def measure(setup: Setup) -> Result:
    """Negate each kind of file by both ways."""
    small, large = _SIZES[setup.quick]
    photos = PhotoSet(setup.photos)
    turns = 1 if setup.quick else 5
    lines, figures, notes = [], dict[str, float](), list[str]()
    program = find_convert()
    if program:
        for name, path in _strips(setup.folder, photos, small, program):
            print_progress(f"  {name}")
            row = _compare(path, _by(program), turns)
            lines.append(_line(f"RGB of 16 bits, {name}", CONVERT, row))
            figures[f"{name}: {CONVERT}"] = row.ratio[0]
            path.unlink()
    else:
        notes.append("Not measured: ImageMagick is missing.")
    try:
        pyvips = import_module("pyvips")
    except (ImportError, OSError):
        notes.append("Not measured: libvips is missing.")
    else:
        pyvips.cache_set_max(0)
        path = setup.folder / "pyramid.tif"
        _save(pyvips, photos, large, path)
        row = _compare(path, lambda source, target: _by_vips(pyvips, source, target), turns)
        tiny = _tiny(pyvips, photos, setup)
        extra = (peak_memory(setup, path) - peak_memory(setup, tiny)) / _MEGABYTE
        twice = _twice(pyvips, path)
        lines.append([*_line(_NAME, VIPS, row)[:-2], f"{extra:.1f}", f"{twice}"])
        figures |= {f"{_NAME}: {VIPS}": row.ratio[0], f"{_NAME}: extra MB": extra}
    megapixels = [f"{width * height / 1e6:.0f}" for width, height in (small, large)]
    title = f"Strips: {megapixels[0]} MP; pyramid: {megapixels[1]} MP."
    columns = ["file", "ours, ms", "against", "CPU time to ours", "size", "extra MB", "twice"]
    return Result([Table(title, columns, lines)], figures, notes=notes)


def _strips(
    folder: Path, photos: PhotoSet, size: tuple[int, int], program: str
) -> list[tuple[str, Path]]:
    """Write a picture in each compression."""
    high = np.asarray(photos.mosaic(*size)).astype(">u2") << 8
    noise = np.random.default_rng(1).integers(0, 256, high.shape, dtype=np.uint16)
    pixels = folder / "pixels.ppm"
    head = b"P6 %d %d 65535\n" % size
    pixels.write_bytes(head + (high | noise).astype(">u2").tobytes())
    found = []
    for number, (name, options) in enumerate(_STRIPS.items()):
        path = folder / f"strips-{number}.tif"
        subprocess.run([program, pixels, *options, path], check=True)
        found.append((name, path))
    pixels.unlink()
    return found


def _by(program: str) -> _Way:
    return lambda source, target: subprocess.run([program, source, "-negate", target], check=True)


def _by_vips(pyvips: Any, source: Path, target: Path) -> None:
    image = pyvips.Image.new_from_file(str(source), access="sequential")
    image.invert().tiffsave(str(target), **_PYRAMID)


def _compare(source: Path, other: _Way, turns: int) -> _Row:
    target = source.with_name("target.tif")
    ours, ratios, size = list[float](), list[float](), 0.0
    for _ in range(turns):
        seconds = []
        for run in (alternatives.ours, other):
            target.unlink(missing_ok=True)
            before = usage.cpu_seconds()
            run(source, target)
            seconds.append(usage.cpu_seconds() - before)
            if run is alternatives.ours:
                size = target.stat().st_size / source.stat().st_size
        ours.append(seconds[0])
        ratios.append(seconds[1] / max(seconds[0], 1e-6))
    target.unlink()
    spread = (statistics.median(ratios), min(ratios), max(ratios))
    return _Row(min(ours) * 1000, spread, size)


def _line(name: str, against: str, row: _Row) -> list[str]:
    ratio = "{:.1f}× ({:.1f}–{:.1f})".format(*row.ratio)
    return [name, f"{row.milliseconds:.0f}", against, ratio, f"{row.size:.3f}", "–", "–"]


def _save(
    pyvips: Any,
    photos: PhotoSet,
    size: tuple[int, int],
    path: Path,
) -> None:
    mosaic = photos.mosaic(*size)
    image = pyvips.Image.new_from_memory(mosaic.tobytes(), *size, 3, "uchar")
    image.copy(interpretation="srgb").tiffsave(str(path), **_PYRAMID)


def _tiny(pyvips: Any, photos: PhotoSet, setup: Setup) -> Path:
    path = setup.folder / "tiny.tif"
    _save(pyvips, photos, (64, 64), path)
    return path


def _twice(pyvips: Any, source: Path) -> int:
    """Return the largest difference of samples after negating twice."""
    once, twice = (source.with_name(f"{name}.tif") for name in ("once", "twice"))
    alternatives.ours(source, once)
    alternatives.ours(once, twice)
    before, after = (pyvips.Image.new_from_file(str(path)) for path in (source, twice))
    return int((before - after).abs().max())
