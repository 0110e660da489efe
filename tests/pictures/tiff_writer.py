"""Write the TIFFs of the matrix, with the codecs of imagecodecs, zlib and libtiff."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from tests.pictures import tiff_recipes as kinds
from tests.pictures.tiff_recipes import Recipe

Array = Any  # numpy's, which mypy does not follow
ASCII, BYTE, SHORT, LONG, RATIONAL, UNDEFINED, IFD, LONG8, IFD8 = 2, 1, 3, 4, 5, 7, 13, 16, 18
_CODES = {BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "I", IFD: "I", LONG8: "Q", IFD8: "Q"}
_JPEG_QUALITY = 88
_BILEVEL = {kinds.RLE: "tiff_ccitt", kinds.GROUP_3: "group3", kinds.GROUP_4: "group4"}


@dataclass(frozen=True)
class Written:
    """A directory as it was written.

    Attributes:
        samples: Rows × columns × channels, as integers.
        is_mask: Whether it is a transparency mask.
    """

    samples: Array
    is_mask: bool = False


def write(recipe: Recipe) -> tuple[bytes, list[Written]]:
    """Return a TIFF, and its directories in the order: each page, then its SubIFDs."""
    return _Writer(recipe).write()


class _Writer:
    def __init__(self, recipe: Recipe) -> None:
        self._recipe, self._order, self._is_big = recipe, recipe.order, recipe.is_big
        self._dice = np.random.default_rng(recipe.number)
        mark = b"II" if recipe.order == "<" else b"MM"
        self._out = bytearray(mark + self._pack("H", 43 if recipe.is_big else 42))
        self._out += self._pack("HHQ", 8, 0, 0) if recipe.is_big else self._pack("I", 0)
        self._link = len(self._out) - self._word_bytes
        self._written: list[Written] = []

    @property
    def _word_bytes(self) -> int:
        return 8 if self._is_big else 4

    def _pack(self, codes: str, *values: int) -> bytes:
        return struct.pack(self._order + codes, *values)

    def _word(self, value: int) -> bytes:
        return self._pack("Q" if self._is_big else "I", value)

    def write(self) -> tuple[bytes, list[Written]]:
        recipe = self._recipe
        size = (37, 53)
        if recipe.levels == "subifds":
            self._page(size, {}, sub=[(19, 27), (10, 14)])
            self._page((21, 18), {}, sub=[(11, 9)])
        else:
            self._page(size, {})
        if recipe.levels == "pages":
            self._page((21, 18), {254: (LONG, (2,))})
            self._page((1, 1), {254: (LONG, (2,))})
        elif recipe.levels == "reduced":
            self._page((19, 27), {254: (LONG, (1,))})
        elif recipe.levels == "mask":
            self._mask(size)
        return bytes(self._out), self._written

    def _page(
        self,
        size: tuple[int, int],
        fields: dict[int, tuple[int, Any]],
        sub: list[tuple[int, int]] | None = None,
    ) -> None:
        """Append a page and link to it from the page before."""
        samples = random_samples(self._recipe, size, self._dice)
        self._written.append(Written(samples))
        fields = self._pixels(samples) | fields | self._metadata(samples)
        if sub:
            starts = []
            for inner in sub:
                level = random_samples(self._recipe, inner, self._dice)
                self._written.append(Written(level))
                starts.append(self._directory(self._pixels(level) | {254: (LONG, (1,))})[0])
            fields[330] = (IFD8 if self._is_big else IFD, tuple(starts))
        self._link_to(*self._directory(fields))

    def _mask(self, size: tuple[int, int]) -> None:
        """Append a transparency mask as GDAL writes them: 1 bit, NewSubfileType 4."""
        mask = self._dice.integers(0, 2, (*size, 1), dtype=np.uint32)
        self._written.append(Written(mask, is_mask=True))
        data = np.packbits(mask[:, :, 0].astype(np.uint8), axis=1).tobytes()
        height, width = size
        fields: dict[int, tuple[int, Any]] = {
            254: (LONG, (4,)),
            256: (SHORT, (width,)),
            257: (SHORT, (height,)),
            258: (SHORT, (1,)),
            259: (SHORT, (8,)),
            262: (SHORT, (4,)),
            273: (LONG, (self._append(zlib.compress(data)),)),
            277: (SHORT, (1,)),
            278: (SHORT, (height,)),
        }
        fields[279] = (LONG, (len(zlib.compress(data)),))
        self._link_to(*self._directory(fields))

    def _link_to(self, start: int, next_link: int) -> None:
        self._out[self._link : self._link + self._word_bytes] = self._word(start)
        self._link = next_link

    def _append(self, data: bytes) -> int:
        self._out += bytes(len(self._out) % 2)
        self._out += data
        return len(self._out) - len(data)

    def _directory(self, fields: dict[int, tuple[int, Any]]) -> tuple[int, int]:
        """Append a directory; return its offset, and where the next one's offset is stored."""
        entries = []
        for tag, (kind, values) in sorted(fields.items()):
            if isinstance(values, bytes):
                data, count = values, len(values)
            else:
                data = self._pack(f"{len(values)}{_CODES[kind]}", *values)
                count = len(values) // (2 if kind == RATIONAL else 1)
            head = self._pack("HHQ" if self._is_big else "HHI", tag, kind, count)
            if len(data) > self._word_bytes:
                data = self._word(self._append(data))
            entries.append(head + data.ljust(self._word_bytes, b"\0"))
        count_bytes = self._pack("Q" if self._is_big else "H", len(entries))
        start = self._append(count_bytes + b"".join(entries) + bytes(self._word_bytes))
        return start, len(self._out) - self._word_bytes

    def _pixels(self, samples: Array) -> dict[int, tuple[int, Any]]:
        """Append a picture's segments; return the fields that describe them."""
        recipe = self._recipe
        height, width, channels = samples.shape
        encoded = [encode(part, recipe) for part in segments(samples, recipe)]
        fields: dict[int, tuple[int, Any]] = {}
        if recipe.has_tables:
            # libjpeg's tables of one quality are the same in every segment.
            encoded, tables = _without_tables(encoded)
            fields[347] = (UNDEFINED, tables)
        offsets = tuple(self._append(data) for data in encoded)
        wide = LONG8 if recipe.is_big else LONG
        fields |= {
            256: (SHORT, (width,)),
            257: (SHORT, (height,)),
            258: (SHORT, (recipe.bits,) * channels),
            259: (SHORT, (recipe.compression,)),
            262: (SHORT, (kinds.PHOTOMETRICS[recipe.color][0],)),
            277: (SHORT, (channels,)),
            284: (SHORT, (2 if recipe.is_planar else 1,)),
            339: (SHORT, (recipe.form,) * channels),
            (324 if recipe.tile else 273): (wide, offsets),
            (325 if recipe.tile else 279): (LONG, tuple(map(len, encoded))),
        }
        if recipe.tile:
            fields |= {322: (SHORT, (recipe.tile[0],)), 323: (SHORT, (recipe.tile[1],))}
        else:
            fields[278] = (LONG, (min(recipe.rows, height),))
        if recipe.extra:
            fields[338] = (SHORT, recipe.extra)
        if recipe.predictor > 1:
            fields[317] = (SHORT, (recipe.predictor,))
        if recipe.fill_order > 1:
            fields[266] = (SHORT, (recipe.fill_order,))
        if recipe.color == kinds.YCBCR:
            sampling = (2, 2) if recipe.compression == kinds.JPEG else (1, 1)
            fields[530] = (SHORT, sampling)
            fields[532] = (RATIONAL, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1))
        if recipe.color == kinds.CMYK:
            fields[332] = (SHORT, (1,))
        if recipe.color == kinds.PALETTE:
            table = self._dice.integers(0, 65536, 3 << recipe.bits)
            fields[320] = (SHORT, tuple(int(value) for value in table))
        return fields

    def _metadata(self, samples: Array) -> dict[int, tuple[int, Any]]:
        recipe = self._recipe
        fields: dict[int, tuple[int, Any]] = {
            270: (ASCII, "a picture of 3 \N{MICRO SIGN}m\0".encode()),
            282: (RATIONAL, (300, 1)),
            283: (RATIONAL, (600, 2)),
            296: (SHORT, (2,)),
            305: (ASCII, b"tests/pictures\0"),
            65001: (UNDEFINED, bytes(range(64))),
        }
        if recipe.metadata == "exif":
            inner = {36867: (ASCII, b"2026:11:29 01:23:45\0"), 37377: (UNDEFINED, b"note: 42")}
            wide = LONG8 if self._is_big else LONG
            fields[34665] = (wide, (self._directory(inner)[0],))
            position = {1: (ASCII, b"N\0"), 2: (RATIONAL, (59, 1, 20, 1, 1, 3))}
            fields[34853] = (wide, (self._directory(position)[0],))
            fields[274] = (SHORT, (int(self._dice.integers(1, 9)),))
            fields[297] = (SHORT, (0, 1))
        is_plain = recipe.form == kinds.UNSIGNED and recipe.color in (kinds.BLACK, kinds.RGB)
        if recipe.metadata == "ranges" and is_plain and recipe.bits <= 16 and not recipe.extra:
            channels = samples.reshape(-1, samples.shape[2])
            fields[280] = (SHORT, tuple(int(value) for value in channels.min(0)))
            fields[281] = (SHORT, tuple(int(value) for value in channels.max(0)))
        has_numbers = recipe.form != kinds.FLOAT and recipe.color in (kinds.BLACK, kinds.RGB)
        if recipe.metadata == "nodata" and has_numbers:
            fields[42113] = (ASCII, b"%d\0" % int(samples[0, 0, 0]))
        return fields


def random_samples(recipe: Recipe, size: tuple[int, int], dice: Any) -> Array:
    """Return rows × columns × channels: noise, flat parts, and the extremes."""
    height, width = size
    shape = (height, width, recipe.channels)
    if recipe.form == kinds.FLOAT:
        return dice.random(shape).astype(f"f{recipe.bits // 8}")
    if recipe.is_lossy or recipe.compression in (kinds.WEBP, kinds.JPEG_2000):
        rows, columns = np.mgrid[0:height, 0:width]
        waves = [rows * (3 + c) + columns * (2 + c) for c in range(recipe.channels)]
        return (np.stack(waves, -1) % 512 - 256).__abs__().clip(0, 255).astype(np.uint32)
    samples = dice.integers(0, 1 << recipe.bits, shape, dtype=np.int64)
    samples[height // 2 :, : width // 2] = (1 << recipe.bits) - 1
    samples[: height // 3, width // 2 :] = 0
    if kinds.ASSOCIATED in recipe.extra:
        colors = recipe.color_channels
        alpha = samples[:, :, colors : colors + 1]
        samples[:, :, :colors] = np.minimum(samples[:, :, :colors], alpha)
    if recipe.form == kinds.SIGNED:
        samples -= 1 << (recipe.bits - 1)
    return samples


def segments(samples: Array, recipe: Recipe) -> Iterator[Array]:
    """Yield the strips or tiles, rows × columns × channels; tiles are padded."""
    height, width, channels = samples.shape
    planes = range(channels) if recipe.is_planar else [slice(None)]
    across, down = recipe.tile or (width, min(recipe.rows, height))
    for plane in planes:
        one = samples[:, :, plane].reshape(height, width, -1)
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = one[top : top + down, left : left + across]
                if recipe.tile:
                    rows, columns = down - part.shape[0], across - part.shape[1]
                    part = np.pad(part, ((0, rows), (0, columns), (0, 0)), mode="edge")
                yield part


def encode(part: Array, recipe: Recipe) -> bytes:
    """Return a segment's bytes."""
    compression = recipe.compression
    if compression in _BILEVEL:
        data = _fax(part, compression)
    elif compression == kinds.JPEG:
        data = _jpeg(part, recipe)
    elif compression in (kinds.WEBP, kinds.JPEG_2000, kinds.LERC):
        name = {kinds.WEBP: "webp", kinds.JPEG_2000: "jpeg2k", kinds.LERC: "lerc"}[compression]
        pixels = np.ascontiguousarray(part.astype(np.uint8))
        data = bytes(getattr(imagecodecs, f"{name}_encode")(pixels))
    else:
        data = _compress(_packed(part, recipe), compression)
    if recipe.fill_order > 1:
        data = bytes(imagecodecs.bitorder_encode(data))
    return data


def _packed(part: Array, recipe: Recipe) -> list[bytes]:
    """Return the bytes of each row."""
    bits, height = recipe.bits, part.shape[0]
    whole = (8, 16, 32, 64)
    if bits not in whole and bits != 24:
        rows = (part.reshape(height, -1) & ((1 << bits) - 1)).astype(np.uint64)
        shifts: Array = np.arange(bits - 1, -1, -1, dtype=np.uint64)
        spread = (rows[:, :, None] >> shifts) & np.uint64(1)
        return [np.packbits(row.ravel().astype(np.uint8)).tobytes() for row in spread]
    if recipe.form == kinds.FLOAT:
        rows = np.ascontiguousarray(part.astype(f"{recipe.order}f{bits // 8}"))
        if recipe.predictor == 3:
            rows = imagecodecs.floatpred_encode(rows, axis=-2)
        return [row.tobytes() for row in rows]
    values = (part & ((1 << bits) - 1)).astype(np.uint64)
    if recipe.predictor == 2:
        values[:, 1:] = values[:, 1:] - values[:, :-1]
    if bits == 24:
        every = values.astype(f"{recipe.order}u4").reshape(height, -1, 1).view(np.uint8)
        kept = every[:, :, :3] if recipe.order == "<" else every[:, :, 1:]
        return [row.tobytes() for row in kept]
    return [row.tobytes() for row in values.astype(f"{recipe.order}u{bits // 8}")]


def _compress(rows: list[bytes], compression: int) -> bytes:
    if compression == kinds.PACKBITS:
        return b"".join(imagecodecs.packbits_encode(row) for row in rows)
    data = b"".join(rows)
    if compression == kinds.LZW:
        return bytes(imagecodecs.lzw_encode(data))
    if compression in (kinds.DEFLATE, kinds.OLD_DEFLATE):
        return zlib.compress(data)
    if compression == kinds.ZSTD:
        return bytes(imagecodecs.zstd_encode(data))
    if compression == kinds.LZMA:
        return bytes(imagecodecs.lzma_encode(data))
    return data


def _fax(part: Array, compression: int) -> bytes:
    """Return the CCITT data of a bilevel segment, from the TIFF that libtiff makes of it."""
    buffer = io.BytesIO()
    image = Image.fromarray((part[:, :, 0] * 255).astype(np.uint8)).convert(
        "1", dither=Image.Dither.NONE
    )
    height = image.size[1]
    image.save(buffer, "TIFF", compression=_BILEVEL[compression], tiffinfo={278: height})
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as tiff:
        page = tiff.pages[0]
        (start,), (size,) = page.dataoffsets, page.databytecounts
    return buffer.getvalue()[start : start + size]


def _jpeg(part: Array, recipe: Recipe) -> bytes:
    spaces = {kinds.RGB: "RGB", kinds.YCBCR: "YCBCR", kinds.CMYK: "CMYK"}
    space = "GRAYSCALE" if part.shape[2] == 1 else spaces[recipe.color]
    source = "RGB" if space == "YCBCR" else space
    pixels = np.ascontiguousarray(part.astype(np.uint8))
    sampling = "420" if recipe.color == kinds.YCBCR else "444"
    return bytes(
        imagecodecs.jpeg8_encode(
            pixels[:, :, 0] if space == "GRAYSCALE" else pixels,
            level=_JPEG_QUALITY,
            colorspace=source,
            outcolorspace=space,
            subsampling=None if space in ("GRAYSCALE", "CMYK") else sampling,
        )
    )


def _without_tables(streams: list[bytes]) -> tuple[list[bytes], bytes]:
    """Move DQT and DHT out of JPEG streams (T.81, B.5); return the rest, and the tables."""
    split = [_split_tables(stream) for stream in streams]
    assert len({tables for _, tables in split}) == 1
    return [rest for rest, _ in split], split[0][1]


def _split_tables(stream: bytes) -> tuple[bytes, bytes]:
    rest, tables, at = bytearray(stream[:2]), bytearray(stream[:2]), 2
    while stream[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        is_table = stream[at + 1] in (0xDB, 0xC4)
        (tables if is_table else rest).extend(stream[at:end])
        at = end
    return bytes(rest + stream[at:]), bytes(tables + b"\xff\xd9")
