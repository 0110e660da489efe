"""What the pages of a TIFF are: tags, their meanings, and words for them."""

from worker.transforms.pictures import camera_raw
from worker.transforms.pictures.tiff_directories import Directory

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, *range(256, 260)
PHOTOMETRIC, DESCRIPTION, CHANNELS, ROWS_PER_STRIP, PLANAR = 262, 270, 277, 278, 284
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
TILE_WIDTH, TILE_HEIGHT, PREDICTOR, COLOR_MAP, JPEG_TABLES = 322, 323, 317, 320, 347
JPEG_OFFSET, JPEG_BYTES = 513, 514  # a whole JPEG file (JPEGInterchangeFormat)
FILL_ORDER, MIN_VALUE, MAX_VALUE = 266, 280, 281
INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING = 332, 338, 339, 530

NO_COMPRESSION, CCITT, LZW, OLD_JPEG, JPEG = 1, (2, 3, 4), 5, 6, 7
DEFLATE, PACKBITS, ZSTD = (8, 32946), 32773, 50000
LOSSLESS = {NO_COMPRESSION: "no", LZW: "LZW", PACKBITS: "PackBits", ZSTD: "Zstandard"}
LOSSLESS |= {2: "CCITT RLE", 3: "CCITT Group 3", 4: "CCITT Group 4", 34925: "LZMA"}
LOSSLESS |= dict.fromkeys(DEFLATE, "Deflate")
LOSSY = {OLD_JPEG: "old-style JPEG", JPEG: "JPEG", 50001: "WebP"}
_COMPRESSIONS = LOSSLESS | LOSSY | camera_raw.COMPRESSIONS
_COMPRESSIONS |= {32766: "NeXT", 32771: "CCITT RLE/W", 32809: "ThunderScan", 34661: "JBIG"}
_COMPRESSIONS |= {34676: "SGILog", 34677: "SGILog24", 34712: "JPEG 2000", 34887: "LERC"}
_COMPRESSIONS |= {33003: "Aperio JPEG 2000", 33004: "Aperio", 33005: "Aperio JPEG 2000"}
_COMPRESSIONS |= {50002: "JPEG XL", 52546: "JPEG XL"}

WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
_PHOTOMETRICS = {WHITE_IS_0: "MinIsWhite", BLACK_IS_0: "gray", RGB: "RGB", PALETTE: "palette"}
_PHOTOMETRICS |= {MASK: "transparency mask", CMYK: "CMYK", YCBCR: "YCbCr", 8: "CIELab"}
_PHOTOMETRICS |= {9: "ICCLab", 10: "ITULab", 32844: "LogL", 32845: "LogLuv"}
_PHOTOMETRICS |= camera_raw.PHOTOMETRICS

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
    colors = (
        f"photometric interpretation {photometric}"
        if photometric >= 0
        else "no PhotometricInterpretation"
    )
    return (
        f"{_COMPRESSIONS.get(compression, f'unknown ({compression})')} compression, "
        f"{bits} bits per sample, {channels} channel{'s' if channels != 1 else ''}, "
        f"{_SAMPLE_FORMATS.get(sample_format, f'format {sample_format}')} samples, "
        f"{_PHOTOMETRICS.get(photometric, colors)}{order}"
    )
