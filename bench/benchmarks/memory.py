"""Memory of the transform's process, by megapixels."""

from bench.benchmark import Result, Setup
from bench.peak_memory import peak_memory
from bench.photos import PhotoSet
from bench.plots import Lines
from bench.table import Table

TITLE = "Memory against megapixels"
TEXT = """Largest resident set (`VmHWM`, proc(5); pages of the mapped source count) of a process
that negates one picture, less that of one which negates a picture of 64 × 64 pixels of the same
kind. Mosaics of photographs, JPEG at quality 90, 4:2:0. Allowed for JPEG: 1.5 times the file +
16 MB."""

_SIZES = {1: (1224, 816), 12: (4240, 2832), 25: (6124, 4082), 50: (8660, 5774), 100: (12248, 8165)}
_KINDS = {
    "JPEG": ("jpg", {"quality": 90}),
    "progressive JPEG": ("jpg", {"quality": 90, "progressive": True}),
    "PNG": ("png", {"compress_level": 1}),
}
_MEGABYTE = 1e6


def measure(setup: Setup) -> Result:
    """Negate each format at each size, each in a separate process."""
    photo_set = PhotoSet(setup.photos)
    lines, figures = [], {}
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in _KINDS}
    allowed: list[tuple[float, float]] = []
    sizes = {count: _SIZES[count] for count in ((1,) if setup.quick else _SIZES)}
    base = {name: _peak(setup, photo_set, name, (64, 64))[0] for name in _KINDS}
    for count, size in sizes.items():
        for name in _KINDS:
            peak, length = _peak(setup, photo_set, name, size)
            extra = (peak - base[name]) / _MEGABYTE
            most = 1.5 * length / _MEGABYTE + 16
            lines.append([f"{count} MP {name}", f"{length / _MEGABYTE:.1f}", f"{extra:.1f}"])
            lines[-1].append(f"{most:.1f}" if "JPEG" in name else "–")
            series[name].append((count, extra))
            if name == "JPEG":
                allowed.append((count, most))
            figures[f"{count} MP {name}: MB more than allowed"] = extra - most
    columns = ["picture", "file, MB", "extra memory, MB", "allowed, MB"]
    axes = ("megapixels", "MB above baseline")
    plot = Lines("memory", "Extra memory", *axes, {**series, "allowed for JPEG": allowed})
    return Result([Table("", columns, lines)], figures, [plot])


def _peak(setup: Setup, photo_set: PhotoSet, kind: str, size: tuple[int, int]) -> tuple[float, int]:
    """Return the peak memory of the process and the size of the file, in bytes."""
    suffix, options = _KINDS[kind]
    source = setup.folder / f"source.{suffix}"
    photo_set.mosaic(*size).save(source, **options)  # type: ignore[arg-type]
    return peak_memory(setup, source), source.stat().st_size
