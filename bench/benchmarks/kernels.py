"""CPU time per picture of the kernels and of other programs, measured alternately."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench import alternatives, usage
from bench.alternatives import Alternative
from bench.benchmark import Result, Setup
from bench.photos import PhotoSet
from bench.plots import Bars
from bench.table import Table
from cli.terminal import print_progress

TITLE = "Negating without decoding"
TEXT = """CPU time (user + system, children included) from file to file. P12 is a mosaic of
photographs of 4240 × 2832 pixels, P2 one of 1734 × 1158, E12 a piece of a painting's scan of
4240 × 2832. `convert` runs as a separate process, as users run it; the others inside one
process. Each turn runs every way once and a ratio is of one turn, so slow moments of the
machine cancel (what takes over 2 s runs once). Of ratios the median, the least and the largest
are given, of times the least. Pillow saves at the source's own quantisation tables and
subsampling, libvips at the same quality. The identity transcode decodes and codes the
entropy-coded data and nothing else. Size: of the result to the source's. Error: of the result's
pixels against 255 − the source's, as Pillow decodes both."""

_QUICK = ("P2 JPEG q90", "P2 PNG palette")  # every way has one that it suits
_FULL = (
    *("P2 JPEG q90", "P2 JPEG progressive", "P2 PNG", "P2 PNG palette", "P2 GIF"),
    *("P12 JPEG q90", "E12 JPEG q90", "P12 JPEG 4:4:4 q95", "P12 JPEG progressive"),
    *("E12 JPEG progressive", "P12 PNG", "P12 PNG palette", "P12 GIF"),
)
_ENOUGH = 0.025  # seconds per turn: what is faster is repeated
_SLOW = 2.0  # seconds: once is enough


@dataclass(frozen=True)
class Row:
    """One alternative on one picture."""

    alternative: Alternative
    milliseconds: float  # the minimum of all turns
    ratio: tuple[float, float, float]  # of its CPU time to ours: median, minimum, maximum
    size: float  # of the result, as a multiple of the source
    error: tuple[int, float] | None  # largest and mean, of 255 levels


def measure(setup: Setup) -> Result:
    """Run every alternative on every picture."""
    photo_set = PhotoSet(setup.photos)
    found, missing = alternatives.find_alternatives()
    rows: dict[str, list[Row]] = {}
    for name, path in photo_set.files(setup.folder, _QUICK if setup.quick else _FULL):
        print_progress(f"  {name}")
        rows[name] = _rows(
            [alternative for alternative in found if alternative.suits(path)], path, setup.quick
        )
        path.unlink()
    versions = sorted(
        {f"{alternative.name.split()[0]}: {alternative.version}" for alternative in found}
    )
    return Result(
        [_ratios(rows)],
        _figures(rows),
        [_plot(rows)],
        [f"Of what: {'; '.join(versions)}.", *missing],
        [_details(name, each) for name, each in rows.items()],
    )


def _rows(found: Sequence[Alternative], path: Path, quick: bool) -> list[Row]:
    target = path.with_name(f"target{path.suffix}")
    times: dict[str, list[float]] = {alternative.name: [] for alternative in found}
    sizes, errors, repeats = {}, {}, {}
    for alternative in found:  # once each, to warm up and to see the result
        once = _seconds(alternative, path, target, 1)
        repeats[alternative.name] = min(10, round(_ENOUGH / once)) or 1
        if once > _SLOW:  # its warm-up does not matter
            repeats[alternative.name] = 0
            times[alternative.name].append(once)
        sizes[alternative.name] = target.stat().st_size / path.stat().st_size
        errors[alternative.name] = _error(path, target) if alternative.negates else None
    for _ in range(1 if quick else 5):
        for alternative in found:
            if repeats[alternative.name]:
                times[alternative.name].append(
                    _seconds(alternative, path, target, repeats[alternative.name])
                )
    own = times[alternatives.OURS]
    rows = []
    for alternative in found:
        ratios = [taken / each for taken, each in zip(times[alternative.name], own, strict=False)]
        spread = (statistics.median(ratios), min(ratios), max(ratios))
        least = min(times[alternative.name]) * 1000
        rows.append(
            Row(alternative, least, spread, sizes[alternative.name], errors[alternative.name])
        )
    return rows


def _seconds(alternative: Alternative, source: Path, target: Path, repeats: int) -> float:
    before = usage.cpu_seconds()
    for _ in range(repeats):
        alternative.run(source, target)
    return max(usage.cpu_seconds() - before, 1e-6) / repeats


def _error(source: Path, target: Path) -> tuple[int, float]:
    before, after = (
        np.asarray(Image.open(path).convert("RGB"), dtype=np.int16) for path in (source, target)
    )
    wrong = np.abs(255 - before - after)
    return int(wrong.max()), float(wrong.mean())


def _ratios(rows: dict[str, list[Row]]) -> Table:
    names = list(dict.fromkeys(row.alternative.name for each in rows.values() for row in each[1:]))
    lines = []
    for picture, each in rows.items():
        by_name = {row.alternative.name: row for row in each}
        cells = [
            "{:.1f}× ({:.1f}–{:.1f})".format(*by_name[name].ratio) if name in by_name else "–"
            for name in names
        ]
        own = by_name[alternatives.OURS]
        lines.append([picture, f"{own.milliseconds:.2f}", *cells, f"{own.size:.3f}"])
    columns = ["picture", "ours, ms", *names, "our size"]
    return Table("CPU time to ours: median (least–most).", columns, lines)


def _details(picture: str, rows: list[Row]) -> Table:
    lines = [
        [
            row.alternative.name,
            f"{row.milliseconds:.2f}",
            f"{row.ratio[0]:.2f}",
            "{:.2f}–{:.2f}".format(*row.ratio[1:]),
            f"{row.size:.3f}",
            *(("–", "–") if row.error is None else (str(row.error[0]), f"{row.error[1]:.3f}")),
        ]
        for row in rows
    ]
    columns = ["way", "CPU ms", "to ours", "spread", "size", "largest error", "mean error"]
    return Table(f"**{picture}**", columns, lines)


def _figures(rows: dict[str, list[Row]]) -> dict[str, float]:
    figures = {}
    for picture, each in rows.items():
        by_name = {row.alternative.name: row for row in each}
        figures[f"{picture}: size"] = by_name[alternatives.OURS].size
        for name in (alternatives.CONVERT, alternatives.IDENTITY, alternatives.VIPS):
            if name in by_name:
                figures[f"{picture}: {name}"] = by_name[name].ratio[0]
        figures[f"{picture}: Pillow"] = min(by_name[name].ratio[0] for name in alternatives.PILLOW)
        if alternatives.COPY in by_name:
            more = by_name[alternatives.OURS].milliseconds - by_name[alternatives.COPY].milliseconds
            figures[f"{picture}: ms more than a copy"] = more
    return figures


def _plot(rows: dict[str, list[Row]]) -> Bars:
    groups = {
        picture: {
            row.alternative.name: row.ratio
            for row in each
            if row.alternative.name != alternatives.OURS
        }
        for picture, each in rows.items()
        if "palette" not in picture and "GIF" not in picture
    }
    return Bars("kernels", "CPU time an image, ours = 1", "times ours (logarithmic)", groups)
