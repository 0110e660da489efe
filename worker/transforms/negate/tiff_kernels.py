"""Call the kernels of TIFFs (tiff.c): complement samples, decode and encode LZW and PackBits."""

import ctypes
from collections.abc import Iterator
from enum import IntEnum

from worker.transforms.negate import kernels
from worker.transforms.negate.kernels import Buffer, pointer

_PIECE = 1 << 18  # bytes that decoders return at once


class TiffStatus(IntEnum):
    """What the functions of tiff.c return, in the order of the enum there."""

    DONE = 0
    DAMAGED = 1
    FULL = 2  # there is more to decode than the buffer takes
    ABOVE_ALPHA = 3


def complement_rows(rows: bytearray, mask: bytes) -> None:
    """Complement the bits of a TIFF's rows that are set in a mask, in place.

    Args:
        rows: Whole rows.
        mask: As long as a row.
    """
    assert kernels.library  # noqa: S101
    kernels.library.tiff_complement(pointer(rows), len(rows) // len(mask), len(mask), mask)


def complement_differences(
    rows: bytearray, mask: bytes, pixel_bytes: int, sample_bytes: int, *, big: bool
) -> None:
    """Complement samples of a TIFF's rows that are stored as differences, in place.

    Args:
        rows: Whole rows.
        mask: As long as a row: 255 for each byte of a sample that is complemented.
        pixel_bytes: Bytes of a pixel.
        sample_bytes: Bytes of a sample: 1, 2 or 4.
        big: Whether samples are in big-endian byte order.
    """
    assert kernels.library  # noqa: S101
    kernels.library.tiff_complement_differences(
        *(pointer(rows), len(rows) // len(mask), len(mask), mask),
        *(pixel_bytes, sample_bytes, big),
    )


def complement_premultiplied(
    rows: bytearray,
    columns: int,
    *,
    sample_bytes: int,
    big: bool,
    channels: int,
    color_channels: int,
    differences: bool,
) -> bool:
    """Subtract the colors of a TIFF's rows from their associated alpha, in place.

    Args:
        rows: Whole rows.
        columns: Pixels of a row.
        sample_bytes: Bytes of a sample: 1, 2 or 4.
        big: Whether samples are in big-endian byte order.
        channels: Of a pixel: colors, alpha, others.
        color_channels: How many of them are colors.
        differences: Whether samples are stored as differences.

    Returns:
        False if a color exceeds its alpha; the rows are undefined then.
    """
    assert kernels.library  # noqa: S101
    count = len(rows) // (columns * channels * sample_bytes)
    status = kernels.library.tiff_complement_premultiplied(
        *(pointer(rows), count, columns, sample_bytes, big),
        *(channels, color_channels, differences),
    )
    return TiffStatus(status) == TiffStatus.DONE


def complement_lzw(data: memoryview, size: int) -> tuple[TiffStatus, bytearray, int]:
    """Complement every byte that LZW-coded data of a TIFF decodes to.

    Args:
        data: The coded data.
        size: How many bytes it must decode to; what follows is left as it is.

    Returns:
        The status, the new data, and the length of what it decodes to, up to about `size`.
    """
    assert kernels.library  # noqa: S101
    result, length = bytearray(len(data)), ctypes.c_uint64()
    status = kernels.library.lzw_complement(
        *(pointer(data), len(data), pointer(result), size, ctypes.byref(length))
    )
    return TiffStatus(status), result, length.value


def complement_packbits(data: memoryview, size: int) -> tuple[TiffStatus, bytearray, int]:
    """Complement every byte that PackBits-coded data decodes to; as `complement_lzw`."""
    assert kernels.library  # noqa: S101
    result, length = bytearray(data), ctypes.c_uint64()
    status = kernels.library.packbits_complement(
        pointer(result), len(result), size, ctypes.byref(length)
    )
    return TiffStatus(status), result, length.value


def decode_lzw(data: memoryview) -> Iterator[tuple[TiffStatus, bytes]]:
    """Decode LZW as it is in TIFFs.

    Args:
        data: The coded data.

    Yields:
        A status, which is FULL but for the last piece, and the next piece.
    """
    assert kernels.library  # noqa: S101
    state = ctypes.create_string_buffer(kernels.library.lzw_decoder_size())
    buffer = ctypes.create_string_buffer(_PIECE)
    status, made = TiffStatus.FULL, ctypes.c_size_t()
    while status == TiffStatus.FULL:
        status = TiffStatus(
            kernels.library.lzw_decode(
                *(state, pointer(data), len(data), buffer, _PIECE, ctypes.byref(made))
            )
        )
        yield status, ctypes.string_at(buffer, made.value)


class LzwEncoder:
    """Codes LZW as TIFFs have it; with the methods of zlib's objects."""

    def __init__(self) -> None:
        assert kernels.library  # noqa: S101
        self._state = ctypes.create_string_buffer(kernels.library.lzw_encoder_size())
        self._buffer = ctypes.create_string_buffer(0)

    def compress(self, data: Buffer) -> bytes:
        """Return the code of more data, as far as it is known."""
        return self._encode(data, last=False)

    def flush(self) -> bytes:
        """Return the rest of the code."""
        return self._encode(b"", last=True)

    def _encode(self, data: Buffer, *, last: bool) -> bytes:
        assert kernels.library  # noqa: S101
        if len(self._buffer) < 2 * len(data) + 16:
            self._buffer = ctypes.create_string_buffer(2 * len(data) + 16)
        made = kernels.library.lzw_encode(self._state, pointer(data), len(data), last, self._buffer)
        return ctypes.string_at(self._buffer, made)


def decode_packbits(data: memoryview) -> Iterator[tuple[TiffStatus, bytes]]:
    """Decode PackBits; as `decode_lzw`."""
    assert kernels.library  # noqa: S101
    buffer = ctypes.create_string_buffer(_PIECE)
    status, at, made = TiffStatus.FULL, ctypes.c_size_t(), ctypes.c_size_t()
    while status == TiffStatus.FULL:
        status = TiffStatus(
            kernels.library.packbits_decode(
                *(pointer(data), len(data), ctypes.byref(at)),
                *(buffer, _PIECE, ctypes.byref(made)),
            )
        )
        yield status, ctypes.string_at(buffer, made.value)


def encode_packbits(rows: Buffer, row_bytes: int) -> bytes:
    """Return the PackBits code of whole rows, each coded by itself."""
    assert kernels.library  # noqa: S101
    count = len(rows) // row_bytes
    buffer = ctypes.create_string_buffer(count * (row_bytes + row_bytes // 128 + 1))
    return ctypes.string_at(
        buffer, kernels.library.packbits_encode(pointer(rows), count, row_bytes, buffer)
    )
