"""What the pages of a TIFF are: tags and their meanings, and damage that Pillow misses."""

from worker.transforms.pictures import camera_raw
from worker.transforms.pictures.tiff_directories import Directory

NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = range(254, 260)
PHOTOMETRIC, DESCRIPTION, CHANNELS, ROWS_PER_STRIP, PLANAR = 262, 270, 277, 278, 284
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
TILE_WIDTH, TILE_HEIGHT, PREDICTOR, COLOR_MAP, SUB_IFDS = 322, 323, 317, 320, 330
FILL_ORDER, ORIENTATION, MIN_VALUE, MAX_VALUE = 266, 274, 280, 281
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 332, 338, 339

NO_COMPRESSION = 1
LOSSLESS = {1: "no", 2: "CCITT RLE", 3: "CCITT Group 3", 4: "CCITT Group 4", 5: "LZW"}
LOSSLESS |= {8: "Deflate", 32946: "Deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
LOSSY = {6: "old-style JPEG", 7: "JPEG", 50001: "WebP"}
_COMPRESSIONS = LOSSLESS | LOSSY | camera_raw.COMPRESSIONS
_COMPRESSIONS |= {32766: "NeXT", 32771: "CCITT RLE/W", 32809: "ThunderScan", 34661: "JBIG"}
_COMPRESSIONS |= {34676: "SGILog", 34677: "SGILog24", 34712: "JPEG 2000", 34887: "LERC"}
_COMPRESSIONS |= {50002: "JPEG XL"}

WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, MASK, CMYK = range(6)
_PHOTOMETRICS = {WHITE_IS_0: "MinIsWhite", BLACK_IS_0: "gray", RGB: "RGB", PALETTE: "palette"}
_PHOTOMETRICS |= {MASK: "transparency mask", CMYK: "CMYK", 6: "YCbCr", 8: "CIELab"}
_PHOTOMETRICS |= {
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL",
    32845: "LogLuv",
} | camera_raw.PHOTOMETRICS

UNSIGNED = 1
_SAMPLE_FORMATS = {UNSIGNED: "unsigned", 2: "signed", 3: "floating-point", 4: "untyped"}
_SAMPLE_FORMATS |= {5: "complex integer", 6: "complex"}
SEPARATE_PLANES = 2


def described(page: Directory) -> str:
    """Return the kind of a page's pixels in words."""
    compression, photometric = page.number(COMPRESSION, 1), page.number(PHOTOMETRIC, -1)
    bits = "/".join(map(str, sorted(set(page.numbers(BITS, 1)))))
    channels, sample_format = page.number(CHANNELS, 1), page.number(SAMPLE_FORMAT, 1)
    order = ", fill order 2" if page.number(FILL_ORDER, 1) != 1 else ""
    return (
        f"{_COMPRESSIONS.get(compression, f'unknown ({compression})')} compression, "
        f"{bits} bits per sample, {channels} channel{'s' if channels != 1 else ''}, "
        f"{_SAMPLE_FORMATS.get(sample_format, f'format {sample_format}')} samples, "
        f"{_PHOTOMETRICS.get(photometric, f'photometric interpretation {photometric}')}"
        f"{order}"
    )


def segments_problem(page: Directory, file_size: int) -> str | None:
    """Return whether strips or tiles are too many, too few, empty, or outside the file."""
    width, height = page.number(WIDTH, 0), page.number(HEIGHT, 0)
    is_tiled = TILE_OFFSETS in page.fields
    if is_tiled == (STRIP_OFFSETS in page.fields):
        return "the TIFF must have either strips or tiles"
    if is_tiled:
        across, down = page.number(TILE_WIDTH, 0), page.number(TILE_HEIGHT, 0)
    else:
        across, down = width, min(page.number(ROWS_PER_STRIP, height), height)
    if not (width and height and across and down):
        return "the TIFF has a page, strip or tile without width or height"
    is_planar = page.number(PLANAR, 1) == SEPARATE_PLANES
    channels = page.number(CHANNELS, 1)
    in_column = -(-height // down)
    needed = -(-width // across) * in_column * (channels if is_planar else 1)
    name = "tile" if is_tiled else "strip"
    offsets_tag, sizes_tag = (
        (TILE_OFFSETS, TILE_BYTES) if is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
    )
    for field in (page.fields[offsets_tag], page.fields.get(sizes_tag)):
        if field is not None and len(field) != needed:
            return f"the TIFF lists {len(field)} {name}s where its size needs {needed}"
    sizes = page.numbers(sizes_tag) if sizes_tag in page.fields else [1] * needed
    row_bytes = 0  # unknown if compressed
    if page.number(COMPRESSION, 1) == NO_COMPRESSION and sizes_tag in page.fields:
        row_bits = across * page.number(BITS, 1) * (1 if is_planar else channels)
        row_bytes = (row_bits + 7) // 8
    for index, (offset, size) in enumerate(zip(page.numbers(offsets_tag), sizes, strict=True)):
        rows = down if is_tiled else min(down, height - index % in_column * down)
        if not offset or size < max(1, rows * row_bytes):
            return f"the TIFF has a {name} with too few bytes"
        if offset + size > file_size:
            return f"the TIFF is truncated: a {name} lies beyond the file's end"
    return None
