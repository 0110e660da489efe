"""How the samples of a segment (a strip or a tile) of a TIFF are stored, and which change."""

from dataclasses import dataclass
from typing import Literal

from worker.errors import InvalidInput
from worker.transforms.pictures import tiff_segments
from worker.transforms.pictures.tiff_directories import Directory
from worker.transforms.pictures.tiff_pages import (
    BITS,
    BLACK_IS_0,
    CCITT,
    CHANNELS,
    CMYK,
    COLOR_MAP,
    COMPRESSION,
    DEFLATE,
    EXTRA_SAMPLES,
    FILL_ORDER,
    JPEG,
    LZW,
    MASK,
    NEW_SUBFILE_TYPE,
    NO_COMPRESSION,
    OLD_JPEG,
    PACKBITS,
    PALETTE,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    RGB,
    SAMPLE_FORMAT,
    SEPARATE_PLANES,
    WHITE_IS_0,
    YCBCR,
    ZSTD,
    described,
)
from worker.transforms.pictures.tiff_segments import Segment

_WITH_PREDICTOR = (LZW, *DEFLATE, ZSTD)
_SUPPORTED = (NO_COMPRESSION, *_WITH_PREDICTOR, PACKBITS, *CCITT, JPEG)
_HORIZONTAL = 2
_PREDICTED_BITS = {8, 16, 32}
_MAX_BITS = 64
_MASK_SUBFILE = 4  # a bit of NewSubfileType
_GRAYS = (WHITE_IS_0, BLACK_IS_0)
# Channels without extra ones; inks, which may be other than CMYK, are all the others.
_COLORS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, PALETTE: 1, MASK: 1, YCBCR: 3}
_UNSPECIFIED, _ASSOCIATED_ALPHA = 0, 1
# Unsigned, signed, and undefined, which is to be taken as unsigned (TIFF 6.0, section 19).
_INTEGERS = {1, 2, 4}
_REFERENCE_BLACK_WHITE, _DATA_TYPE, _FLOAT = 532, 32996, 3
_DEPTHS = 32997, 32998  # ImageDepth, TileDepth: of volumes


@dataclass(frozen=True)
class Samples:
    """How the samples of one segment are stored, once it is decompressed.

    Attributes:
        bits: Of each sample, 1 to 32.
        channels: Of a pixel within the segment; 1 if planes are separate.
        color_channels: How many of them, from the first, are complemented; the others stay.
        is_premultiplied: Whether associated alpha follows the colors, which are a − c then.
        columns: Pixels of a row: a tile's width, or the image's.
        order: Byte order of samples of 16 and 32 bits.
        predictor: 1: none, 2: horizontal differences (TIFF 6.0, section 14).
        fill_order: 1: a byte's first bit is its most significant one, 2: its least significant.
    """

    bits: int
    channels: int
    color_channels: int
    is_premultiplied: bool
    columns: int
    order: Literal["little", "big"]
    predictor: int = 1
    fill_order: int = 1

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, which begins at a byte."""
        return (self.bits * self.channels * self.columns + 7) // 8


@dataclass(frozen=True)
class Channels:
    """What the channels of a page are.

    Attributes:
        bits: Of each channel.
        colors: How many are complemented: all up to the first that stays.
        is_premultiplied: Whether the first one after them is associated alpha.
        unspecified: How many stay since nothing says what they mean.
    """

    bits: list[int]
    colors: int
    is_premultiplied: bool
    unspecified: int


def channels(page: Directory, *, is_first: bool) -> Channels:
    """Return what the channels of a page are.

    Args:
        page: The page.
        is_first: Whether it is the file's first one, which is no mask of another.

    Returns:
        Its channels.

    Raises:
        InvalidInput: They are not supported; the reason says what the page has.
    """
    photometric = _photometric(page, is_first=is_first)
    found, problem = _channels(page, photometric)
    problem = problem or _coding_problem(page, found, photometric)
    if problem:
        raise InvalidInput(f"{problem}: the TIFF has {described(page)}")
    return found


def of_segment(
    page: Directory, found: Channels, segment: Segment, order: Literal["little", "big"]
) -> tuple[Samples, int]:
    """Return how the samples of a segment are stored.

    Args:
        page: Its page.
        found: The page's channels.
        segment: The segment.
        order: The file's byte order.

    Returns:
        Its samples, and how many rows of them there are.
    """
    row_bytes, rows = tiff_segments.stored(page, segment.columns, segment.rows)
    predictor, fill_order = page.number(PREDICTOR, 1), page.number(FILL_ORDER, 1)
    bits, colors = found.bits, found.colors
    if page.number(PLANAR, 1) == SEPARATE_PLANES:
        bits, colors = bits[segment.plane : segment.plane + 1], int(segment.plane < colors)
    if tiff_segments.subsampling(page) != (1, 1):
        return Samples(8, 1, 1, is_premultiplied=False, columns=row_bytes, order=order), rows
    depth, count = bits[0], len(bits)
    is_common = len(set(bits)) == 1 and depth in _PREDICTED_BITS
    if predictor == 1 and not found.is_premultiplied and not is_common:
        # A complement is one of bits: this way depths may differ, or exceed 32 bits.
        depth, count, colors = 1, sum(bits), sum(bits[:colors])
    return (
        Samples(
            *(depth, count, colors, found.is_premultiplied, segment.columns, order),
            *(predictor, fill_order),
        ),
        rows,
    )


def _channels(page: Directory, photometric: int) -> tuple[Channels, str | None]:
    """Return the channels of a page, and what is wrong with them."""
    count, depths = page.number(CHANNELS, 1), page.numbers(BITS, 1)
    kinds = page.numbers(EXTRA_SAMPLES)
    bits = depths if len(depths) == count else depths[:1] * count
    colors = _COLORS.get(photometric, count - len(kinds))
    extra = count - colors
    kinds = kinds or [_UNSPECIFIED] * extra
    is_premultiplied = _ASSOCIATED_ALPHA in kinds
    if photometric in _GRAYS:  # bands, each as gray as the first one
        bands = next((i for i, kind in enumerate(kinds) if kind != _UNSPECIFIED), len(kinds))
        colors, extra, kinds = colors + bands, extra - bands, kinds[bands:]
    changed = 0 if photometric in (PALETTE, MASK) else colors
    found = Channels(bits, changed, is_premultiplied, kinds.count(_UNSPECIFIED))
    problem = None
    if photometric not in (*_COLORS, CMYK):
        problem = "its colors are not supported"
    elif len(set(depths)) > 1 and len(depths) != count:
        problem = "its numbers of bits are not those of its channels"
    elif not all(0 < depth <= _MAX_BITS for depth in bits):
        problem = "its bit depth is not supported"
    elif extra < 0 or colors < 1 or len(kinds) != extra:
        problem = "its number of channels does not match its colors and extra channels"
    elif not page.numbers(SAMPLE_FORMAT, 1) or not _INTEGERS.issuperset(
        page.numbers(SAMPLE_FORMAT, 1)
    ):
        problem = "only integer samples are supported"
    elif page.number(_DATA_TYPE, 0) == _FLOAT and SAMPLE_FORMAT not in page.fields:
        problem = "its samples are floating-point by the obsolete tag DataType"
    elif is_premultiplied:
        problem = _premultiplied_problem(page, kinds)
    elif photometric == YCBCR and (set(bits) != {8} or not _has_full_range(page)):
        problem = "YCbCr is supported with 8 bits and full range only"
    return found, problem


def _photometric(page: Directory, *, is_first: bool) -> int:
    """Return how samples are to be interpreted; where the tag is missing, what readers assume.

    By TIFF 6.0 (section 8), a mask has both NewSubfileType 4 and PhotometricInterpretation 4, but
    some writers say gray. For GDAL, the former alone makes a mask of a page after the first.
    """
    is_gray = page.number(PHOTOMETRIC, -1) in _GRAYS and page.number(CHANNELS, 1) == 1
    if is_gray and not is_first and page.number(NEW_SUBFILE_TYPE, 0) & _MASK_SUBFILE:
        return MASK
    hints = {PHOTOMETRIC, COLOR_MAP, EXTRA_SAMPLES}
    if page.number(COMPRESSION, 1) in (*CCITT, JPEG) or hints & page.fields.keys():
        return page.number(PHOTOMETRIC, -1)
    return {1: BLACK_IS_0, 3: RGB}.get(page.number(CHANNELS, 1), -1)


def _premultiplied_problem(page: Directory, kinds: list[int]) -> str | None:
    if kinds[0] != _ASSOCIATED_ALPHA or page.number(PHOTOMETRIC, -1) not in (BLACK_IS_0, RGB):
        return "associated (premultiplied) alpha is supported after gray and RGB only"
    if page.number(PLANAR, 1) == SEPARATE_PLANES:
        return "associated (premultiplied) alpha is not supported in separate planes"
    if set(page.numbers(SAMPLE_FORMAT, 1)) & {2}:
        return "associated (premultiplied) alpha of signed samples is not supported"
    if len(set(page.numbers(BITS, 1))) > 1:
        return "associated (premultiplied) alpha of channels with different bits is not supported"
    return None


def _coding_problem(page: Directory, found: Channels, photometric: int) -> str | None:
    """Return why the segments' coding is not supported."""
    compression, predictor = page.number(COMPRESSION, 1), page.number(PREDICTOR, 1)
    is_planar = page.number(PLANAR, 1) == SEPARATE_PLANES
    is_subsampled = tiff_segments.subsampling(page) != (1, 1)
    problem = None
    if any(page.number(tag, 1) > 1 for tag in _DEPTHS):
        problem = "volumes (tags ImageDepth, TileDepth) are not supported, but pages are"
    elif compression == OLD_JPEG:
        problem = "old-style JPEG, which readers decode differently, is not supported"
    elif compression not in _SUPPORTED:
        problem = "its compression is not supported"
    elif compression in CCITT and (found.bits != [1] or found.is_premultiplied):
        problem = "CCITT compression is supported for one channel of 1 bit only"
    elif compression == JPEG:
        problem = _jpeg_problem(page, found, photometric)
    elif predictor not in (1, _HORIZONTAL):
        problem = f"its predictor {predictor} is not supported"
    # Libtiff ignores a predictor elsewhere, other readers do not (section 14 has LZW only).
    elif predictor != 1 and compression not in _WITH_PREDICTOR:
        problem = "readers differ on whether its predictor applies to its compression"
    elif predictor != 1 and (len(set(found.bits)) > 1 or found.bits[0] not in _PREDICTED_BITS):
        problem = "its predictor is supported for 8, 16 and 32 bits only"
    elif page.number(FILL_ORDER, 1) not in (1, 2):
        problem = "its fill order is not supported"
    # Section 8 defines it for no compression and CCITT; readers differ elsewhere.
    elif page.number(FILL_ORDER, 1) != 1 and compression not in (NO_COMPRESSION, *CCITT):
        problem = "readers differ on whether its fill order applies to its compression"
    elif is_subsampled and (is_planar or predictor != 1 or len(found.bits) != found.colors):
        problem = "subsampled colors are supported in one plane, without predictor or alpha only"
    return problem


def _jpeg_problem(page: Directory, found: Channels, photometric: int) -> str | None:
    if set(found.bits) != {8} or set(page.numbers(SAMPLE_FORMAT, 1)) & {2}:
        return "JPEG compression is supported for 8 bits, unsigned, only"
    if photometric == MASK:
        return "JPEG compression is not supported for masks (NewSubfileType 4)"
    if photometric not in (*_GRAYS, RGB, CMYK, YCBCR):
        return "JPEG compression is not supported for its colors"
    if found.colors != len(found.bits) and (
        found.is_premultiplied or photometric not in (*_GRAYS, RGB)
    ):
        return "JPEG compression is supported with extra channels after gray and RGB only"
    return None


def _has_full_range(page: Directory) -> bool:
    """Return whether the complement of a YCbCr sample is 255 − x (TIFF 6.0, section 22)."""
    field = page.fields.get(_REFERENCE_BLACK_WHITE)
    if field is None:
        return True
    values = field.values()
    pairs = list(zip(values[::2], values[1::2], strict=False)) if field.kind in (5, 10) else []
    numbers = [a / b for a, b in pairs if b] or values
    return len(numbers) == 6 and numbers[0] + numbers[1] == 255  # noqa: PLR2004
