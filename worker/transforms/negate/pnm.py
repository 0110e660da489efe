"""Negate a PNM or PAM (netpbm's pbm, pgm, ppm, pam): x becomes maxval − x, and alpha stays.

All pictures of a file are negated. Headers, comments, and in plain files the white space too stay
as they are.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate.pixels import COMPLEMENT
from worker.transforms.negate.verification import check_equal
from worker.transforms.pictures import pixel_limit, pnm_header
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.pnm_header import Header

_PIECE_BYTES = 1 << 18
_MAX_ROW_BYTES = 1 << 24  # of a bitmap, whose rows are negated whole
_WHOLE = (255, 65535)  # maxvals of which all bits are used
_COMMENT, _NUMBER, _BIT = re.compile(rb"(#[^\r\n]*)"), re.compile(rb"\d+"), re.compile(rb"[01]")
_MAX_DIGITS = 9
_SPACE = b" \t\n\v\f\r"
_SWAPPED_BITS = bytes.maketrans(b"01", b"10")


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a PNM or PAM.

    Args:
        file: The file.
        target: Where the negative goes.
        pixels: The most pixels that all its pictures may have.

    Returns:
        Notes.

    Raises:
        InvalidInput: It is damaged, not supported or too large.
    """  # noqa: DOC502  raised by what it calls
    data, at = file.data, 0
    found, written = 0, list[tuple[int, Header]]()
    with target.open("wb") as out:
        start: int | None = 0
        while start is not None:
            header = pnm_header.read(data, start)
            found += header.width * header.height
            pixel_limit.check(found, pixels)
            written.append((out.tell() + start - at, header))
            file.copy(at, header.start, out)
            at = header.start
            for taken, negative in (_plain if header.is_plain else _binary)(data, header):
                out.write(negative)
                at += taken
            start = pnm_header.next_picture(data, at, is_plain=header.is_plain)
        file.copy(at, len(data), out)
        size = out.tell()
    result = MappedFile(target).data
    headers = [pnm_header.read(result, start) for start, _ in written]
    check_equal("pictures", [header for _, header in written], headers)
    check_equal("size", size, len(result))
    return []


def _binary(data: memoryview, header: Header) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes taken and the negative of each piece of a binary picture."""
    end = header.start + header.row_bytes * header.height
    if end > len(data):
        raise InvalidInput("the PNM is truncated")
    if header.is_bitmap and header.row_bytes > _MAX_ROW_BYTES:
        raise InvalidInput(f"the PNM has rows of more than {_MAX_ROW_BYTES} bytes")
    unit = header.row_bytes if header.is_bitmap else header.channels * header.sample_bytes
    step = max(1, _PIECE_BYTES // unit) * unit
    samples = None if _is_whole(header) else _Samples(header, step)
    for at in range(header.start, end, step):
        piece = bytes(data[at : min(at + step, end)])
        negative = samples.negative(piece) if samples else piece.translate(COMPLEMENT)
        yield len(piece), negative


def _is_whole(header: Header) -> bool:
    """Return whether the negative is the complement of every byte."""
    if header.is_bitmap:
        return header.width % 8 == 0
    return header.maxval in _WHOLE and not header.has_alpha


class _Samples:
    """Negates samples that do not use whole bytes, or have alpha between them.

    A piece is one large number, of which each sample is a digit: Python computes so faster than
    sample by sample.
    """

    def __init__(self, header: Header, size: int) -> None:
        width = header.sample_bytes
        if header.is_bitmap:  # a digit is a row, without the bits after its end
            unused = header.row_bytes * 8 - header.width
            width = header.row_bytes
            colors = largest = (((1 << header.width) - 1) << unused).to_bytes(width, "big")
        else:
            inks = header.channels - header.has_alpha
            alpha = bytes(width * header.has_alpha)
            colors = b"\xff" * width * inks + alpha
            largest = header.maxval.to_bytes(width, "big") * inks + alpha
        self._size = size
        self._colors = int.from_bytes(colors * (size // len(colors)), "big")
        self._largest = int.from_bytes(largest * (size // len(colors)), "big")
        self._lowest_bits = int.from_bytes((1).to_bytes(width, "big") * (size // width), "big")

    def negative(self, piece: bytes) -> bytes:
        """Return the negative of a piece of whole pixels or rows."""
        surplus = 8 * (self._size - len(piece))
        largest, value = self._largest >> surplus, int.from_bytes(piece, "big")
        color = value & (self._colors >> surplus)
        result = largest - color
        # A sample above maxval borrows from the next one, whose lowest bit shows it.
        if result < 0 or (result ^ largest ^ color) & self._lowest_bits:
            raise InvalidInput("the PNM has a sample above its maxval")
        return (result | (value ^ color)).to_bytes(len(piece), "big")


class _Negatives(dict[bytes, bytes]):
    """The negatives of decimal numbers."""

    def __init__(self, maxval: int) -> None:
        self._maxval = maxval

    def __missing__(self, number: bytes) -> bytes:
        if len(number) > _MAX_DIGITS or int(number) > self._maxval:
            raise InvalidInput("the PNM has a sample above its maxval")
        self[number] = b"%d" % (self._maxval - int(number))
        return self[number]


def _plain(data: memoryview, header: Header) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes taken and the negative of each piece of a plain picture."""
    missing = header.width * header.height * header.channels
    sample, characters = (_BIT, b"01") if header.is_bitmap else (_NUMBER, b"0123456789")
    negatives, at = _Negatives(header.maxval), header.start
    while at < len(data):
        for part in _COMMENT.split(_piece(data, at)):
            if part.startswith(b"#"):
                at += len(part)
                yield len(part), part
                continue
            text = part
            count = sum(map(part.count, (b"0", b"1"))) if header.is_bitmap else len(part.split())
            if count > missing:
                last = next(islice(sample.finditer(part), missing - 1, None), None)
                text, count = part[: last.end() if last else None], missing
            if text.translate(None, characters + _SPACE):
                raise InvalidInput("the PNM has characters other than digits")
            at += len(text)
            if header.is_bitmap:
                yield len(text), text.translate(_SWAPPED_BITS)
            else:
                yield len(text), sample.sub(lambda found: negatives[found[0]], text)
            missing -= count
            if not missing:
                return
    raise InvalidInput("the PNM is truncated")


def _piece(data: memoryview, at: int) -> bytes:
    """Return the next piece of text; it ends with neither a number nor a comment half done."""
    piece = bytes(data[at : at + _PIECE_BYTES])
    if at + len(piece) == len(data):
        return piece
    end = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
    if end < 0:
        end = max(map(piece.rfind, (b" ", b"\t")))
        if end < 0 or b"#" in piece:
            raise InvalidInput(f"the PNM has lines of more than {_PIECE_BYTES} bytes")
    return piece[: end + 1]
