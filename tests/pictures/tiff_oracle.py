"""Tell whether one TIFF is the whole negative of another, by tifffile and imagecodecs.

Nothing of the project's own code is used. Every directory is compared: pages, SubIFDs at any depth,
their samples, and the bytes of all tags that do not describe where segments are.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

Array = Any  # numpy's, which mypy does not follow
_WHERE = {273, 279, 288, 289, 324, 325, 330, 513, 514, 519, 520, 521}  # offsets and byte counts
_DIRECTORIES = {34665, 34853, 40965}
_TABLES, _COLOR_MAP, _PHOTOMETRIC = 347, 320, 262
_GDAL_METADATA, _NODATA = 42112, 42113
_RANGES = {280, 281, 340, 341}
_WITH_PREVIEWS = {700, 34377, 37724}  # XMP, Photoshop's resources and layers
#: JPEG in TIFF: its negative is made of the coefficients, so pixels are near, not equal.
_JPEG, _LARGEST, _MEAN = 7, 8, 1.5
_MASK, _PALETTE, _ASSOCIATED = 4, 3, 1
_UNSIGNED, _SIGNED = 1, 2
_BILEVEL = (0, 1)
#: Channels that are colors, by photometric interpretation.
_COLORS = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}

logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def directories(tiff: tifffile.TiffFile) -> Iterator[tuple[str, Any]]:
    """Yield the name and page of each directory: every page, then its SubIFDs."""
    tiff.pages.useframes = False
    for number, page in enumerate(tiff.pages, 1):
        yield from _with_sub_ifds(f"page {number}", page.aspage())


def _with_sub_ifds(name: str, page: Any) -> Iterator[tuple[str, Any]]:
    yield name, page
    if page.pages is not None:
        page.pages.useframes = False
        for number, inner in enumerate(page.pages, 1):
            yield from _with_sub_ifds(f"{name}, SubIFD {number}", inner.aspage())


def samples(page: Any) -> Array:
    """Return rows × columns × channels of a directory.

    Tifffile 2026.3 reads 24 bits as most significant byte first whatever the file's order.
    """
    values = page.asarray()
    if page.bitspersample == 24 and values.dtype.kind == "u":
        values = values.byteswap()
        if page.parent.byteorder == "<":
            values >>= 8
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        values = np.moveaxis(values.reshape(page.samplesperpixel, *page.shape[1:3]), 0, -1)
    return values.reshape(page.imagelength, page.imagewidth, -1)


def negative(values: Array, page: Any) -> Array:
    """Return what the samples of a directory's negative are.

    What follows the colors stays; after gray, channels that are not alpha are bands.
    """
    if int(page.photometric) in (_PALETTE, _MASK) or int(page.subfiletype) & _MASK:
        return values
    extra = [int(kind) for kind in page.extrasamples]
    # Without ExtraSamples, channels beyond the colors have no meaning either.
    colors = _COLORS.get(int(page.photometric), values.shape[2])
    extra += [0] * (values.shape[2] - colors - len(extra))
    are_bands = colors == 1 and not any(extra)
    is_color = np.array([True] * colors + [are_bands] * len(extra))
    values = values.astype(np.int64)
    largest: Array = -1 if page.sampleformat == _SIGNED else (1 << page.bitspersample) - 1
    if _ASSOCIATED in extra:
        at = colors + extra.index(_ASSOCIATED)
        largest = values[:, :, at : at + 1]
    return np.where(is_color, largest - values, values)


def differences(before: Path, after: Path) -> list[str]:
    """Return in words where a TIFF is not the negative of another; nothing if it is."""
    try:
        with (
            tifffile.TiffFile(before, _multifile=False) as old,
            tifffile.TiffFile(after, _multifile=False) as new,
        ):
            return list(_differences(old, new))
    except tifffile.TiffFileError as error:
        return [f"tifffile cannot read it: {error}"]


def _differences(old: tifffile.TiffFile, new: tifffile.TiffFile) -> Iterator[str]:
    if (old.byteorder, old.is_bigtiff) != (new.byteorder, new.is_bigtiff):
        yield "byte order or kind of TIFF differs"
    if old.is_imagej and new.is_imagej and (problem := _stack_difference(old, new)):
        yield problem
    one, other = list(directories(old)), list(directories(new))
    if [name for name, _ in one] != [name for name, _ in other]:
        yield f"{len(one)} directories before, {len(other)} after"
        return
    for (name, page), (_, result) in zip(one, other, strict=True):
        is_swapped = {int(page.photometric), int(result.photometric)} == {*_BILEVEL}
        for problem in _tag_differences(page, result, is_swapped=is_swapped):
            yield f"{name}: {problem}"
        if wrong := _sample_difference(page, result, is_swapped=is_swapped):
            yield f"{name}: {wrong}"


def _stack_difference(old: tifffile.TiffFile, new: tifffile.TiffFile) -> str | None:
    """Compare all images of ImageJ's stacks, which may have one directory for all."""
    before, after = old.series[0].asarray(), new.series[0].asarray()
    if before.shape != after.shape or before.dtype != after.dtype:
        return f"ImageJ's stack of {before.shape} became {after.shape}"
    page = old.pages[0]
    wanted = negative(before.reshape(-1, 1, 1), page).reshape(before.shape)
    return None if np.array_equal(wanted, after) else "images of ImageJ's stack differ"


def _sample_difference(page: Any, result: Any, *, is_swapped: bool) -> str | None:
    try:
        values = samples(page)
    except Exception as error:  # noqa: BLE001  imagecodecs and tifffile raise many kinds
        return f"tifffile cannot decode the source: {error}"
    try:
        got = samples(result)
    except Exception as error:  # noqa: BLE001
        return f"tifffile cannot decode the result: {error}"
    if got.shape != values.shape or got.dtype != values.dtype:
        return f"{values.shape} {values.dtype} became {got.shape} {got.dtype}"
    return sample_difference(negative(values, page), got, page, is_swapped=is_swapped)


def sample_difference(wanted: Array, got: Array, page: Any, *, is_swapped: bool) -> str | None:
    """Return how decoded samples differ from the wanted ones.

    Args:
        wanted: The negative's samples.
        got: The result's.
        page: The source's directory.
        is_swapped: Whether the result has the other of MinIsWhite and MinIsBlack.
    """
    if is_swapped:
        wanted = (1 << page.bitspersample) - 1 - wanted
    apart = np.abs(wanted.astype(np.int64) - got.astype(np.int64))
    if int(page.compression) == _JPEG:
        if apart.max() > _LARGEST or apart.mean() > _MEAN:
            return f"samples differ by up to {apart.max()}, {apart.mean():.2f} on average"
    elif apart.any():
        wrong = np.unique(np.nonzero(apart)[2])
        return f"{np.count_nonzero(apart)} of {apart.size} samples differ, channels {wrong}"
    return None


def _tag_differences(page: Any, result: Any, *, is_swapped: bool) -> Iterator[str]:
    old, new = _fields(page), _fields(result)
    if old.keys() != new.keys():
        yield f"tags {sorted(old.keys() ^ new.keys())} only before or only after"
    free = _WHERE | _WITH_PREVIEWS | _RANGES | {_TABLES} | ({_PHOTOMETRIC} if is_swapped else set())
    for tag in sorted(old.keys() & new.keys() - free):
        before, after = page.tags[tag].value, result.tags[tag].value
        if tag in _DIRECTORIES:
            if before != after:
                yield f"tag {tag}: {before} became {after}"
        elif tag == _COLOR_MAP and int(page.photometric) == _PALETTE:
            if not np.array_equal(65535 - np.asarray(before), np.asarray(after)):
                yield "the color map is not the negative"
        elif tag == _NODATA:
            yield from _nodata_difference(page, str(before), str(after))
        elif tag == _GDAL_METADATA:
            yield from _statistics_difference(page, str(before), str(after))
        elif old[tag] != new[tag]:
            yield f"tag {tag}: {old[tag]!r:.60} became {new[tag]!r:.60}"
    for lowest, highest in ((280, 281), (340, 341)):
        yield from _range_difference(page, result, lowest, highest)


def _fields(page: Any) -> dict[int, tuple[int, int, bytes]]:
    """Return type, count and bytes of each tag."""
    handle = page.parent.filehandle
    found = {}
    for tag in page.tags:
        handle.seek(tag.valueoffset)
        found[tag.code] = (int(tag.dtype), tag.count, handle.read(tag.valuebytecount))
    return found


def _complement_of(page: Any, value: float) -> float:
    return -1 - value if page.sampleformat == _SIGNED else (1 << page.bitspersample) - 1 - value


def _nodata_difference(page: Any, before: str, after: str) -> Iterator[str]:
    """The value that marks missing data (GDAL's driver documentation) is complemented too."""
    try:
        wanted = _complement_of(page, float(before.strip("\0 ")))
    except ValueError:
        return
    signed = page.sampleformat == _SIGNED
    lowest = -(1 << page.bitspersample - 1) if signed else 0
    if not lowest <= wanted <= lowest + (1 << page.bitspersample) - 1:
        wanted = float(before.strip("\0 "))  # no sample has it
    if int(page.photometric) in (_PALETTE, _MASK):
        wanted = float(before.strip("\0 "))  # an index
    if float(after.strip("\0 ")) != wanted:
        yield f"GDAL_NODATA {before!r} became {after!r}, not {wanted:.0f}"


def _statistics_difference(page: Any, before: str, after: str) -> Iterator[str]:
    """GDAL's statistics of samples ("STATISTICS_*") are those of the negative."""
    opposite = {"STATISTICS_MINIMUM": "STATISTICS_MAXIMUM", "STATISTICS_MEAN": "STATISTICS_MEAN"}
    opposite |= {other: one for one, other in opposite.items()}
    old, new = _items(before), _items(after)
    wanted = {
        (opposite.get(name, name), sample): (
            f"{_complement_of(page, float(value)):g}" if name in opposite else value
        )
        for (name, sample), value in old.items()
    }
    got = {
        (name, sample): f"{float(value):g}" if name in opposite else value
        for (name, sample), value in new.items()
    }
    if wanted != got:
        yield f"GDAL's metadata {before!r} became {after!r}"


def _items(text: str) -> dict[tuple[str, str], str]:
    root = ElementTree.fromstring(text.strip("\0"))  # noqa: S314
    return {
        (one.get("name", ""), one.get("sample", "")): one.text or "" for one in root.iter("Item")
    }


def _range_difference(page: Any, result: Any, lowest: int, highest: int) -> Iterator[str]:
    """The smallest and largest sample values, which change places (TIFF 6.0, tags 280, 281)."""

    def values(of: Any, tag: int) -> list[Any]:
        value = of.tags[tag].value
        return list(value) if isinstance(value, tuple) else [value]

    if int(page.photometric) in (_PALETTE, _MASK):
        return
    for tag, opposite in ((lowest, highest), (highest, lowest)):
        if tag in result.tags and opposite in page.tags:
            wanted = [_complement_of(page, value) for value in values(page, opposite)]
            if values(result, tag) != wanted:
                yield f"tag {tag} became {values(result, tag)}, not {wanted}"
