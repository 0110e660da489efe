"""Write a TIFF with changed blocks: all other bytes stay where they are.

Blocks that lie next to each other form a run. A changed block begins where the source's does, or,
if those before it have grown, right after them; what does not fit into its run goes to the end of
the file.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.transforms.negate.tiff.blocks import Block, Piece
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.tiff_pages import NO_COMPRESSION

_MAX_PADDING = 15  # zeros between blocks that belong to none: writers align blocks to 16 bytes
_FRAME = 4  # bytes of the size before a block of a COG, and of the repeated bytes after it


@dataclass(frozen=True)
class Place:
    """Where a block is in the result."""

    offset: int
    size: int


class Places:
    """Where the blocks of a file are in the result.

    Args:
        blocks: The blocks in the order of the file.
        places: The new place of each.
    """

    def __init__(self, blocks: list[Block], places: list[Place]) -> None:
        self._starts = [block.offset for block in blocks]
        self._places = places

    def of(self, block: Block) -> Place:
        """Return the place of a block, or of a part of an uncompressed one."""
        index = bisect_right(self._starts, block.offset) - 1
        start, place = self._starts[index], self._places[index]
        if block.coding.compression != NO_COMPRESSION:
            return place
        return Place(place.offset + block.offset - start, block.size)

    @property
    def are_in_order(self) -> bool:
        """Whether no block has left its run."""
        offsets = [place.offset for place in self._places]
        return offsets == sorted(offsets)


@dataclass(frozen=True)
class Run:
    """Blocks that lie next to each other.

    Attributes:
        start: Their first byte.
        end: The byte after the last one.
        blocks: The blocks.
    """

    start: int
    end: int
    blocks: list[Block] = field(default_factory=list)


def runs(
    blocks: Iterable[Block], kept: Iterable[tuple[int, int]], data: memoryview, *, is_framed: bool
) -> list[Run]:
    """Return the runs of blocks.

    Args:
        blocks: The blocks of the file.
        kept: Where other things, directories and values, begin and end.
        data: The file.
        is_framed: Whether each block is between its size and its last bytes, as in a COG.

    Returns:
        The runs, in the order of the file.

    Raises:
        InvalidInput: A block overlaps another one or something else.
    """
    frame = _FRAME if is_framed else 0
    items: list[tuple[int, int, Block | None]] = [(start, end, None) for start, end in kept]
    items += [(each.offset - frame, each.offset + each.size + frame, each) for each in blocks]
    items.sort(key=lambda item: item[:2])
    found: list[Run] = []
    end_of_kept = 0
    for start, end, block in items:
        last = found[-1].end if found else 0
        if start < last or (block and start < end_of_kept):
            raise InvalidInput("the TIFF's strips or tiles overlap each other or other data")
        if block is None:
            end_of_kept = max(end_of_kept, end)
        elif found and end_of_kept <= last and _is_padding(data[last:start]):
            found[-1] = Run(found[-1].start, end, found[-1].blocks)
            found[-1].blocks.append(block)
        else:
            found.append(Run(start, end, [block]))
    return found


def _is_padding(gap: memoryview) -> bool:
    return len(gap) <= _MAX_PADDING and not any(gap)


def write(
    file: MappedFile,
    out: BinaryIO,
    all_runs: list[Run],
    negative: Callable[[Block], Iterator[Piece]],
    *,
    is_framed: bool,
) -> tuple[Places, int]:
    """Write a file with negated blocks.

    Args:
        file: The source.
        out: The result; empty.
        all_runs: Its runs of blocks.
        negative: Returns pieces of a block's negative; exactly as long if it is not compressed.
        is_framed: Whether each block is between its size and its last bytes, as in a COG.

    Returns:
        The new places of blocks, and where the file ends.

    Raises:
        InvalidInput: A block is damaged.
    """  # noqa: DOC502  raised by `negative`
    places: dict[int, Place] = {}
    end, at = len(file.data), 0
    for run in all_runs:
        out.seek(at)
        file.copy(at, run.start, out)
        at = run.end
    out.seek(at)
    file.copy(at, end, out)
    out.flush()
    is_open = bool(all_runs) and all_runs[-1].end == end
    # The last run of a file may grow, if nothing has been put behind it.
    for run in (all_runs[-1:] + all_runs[:-1]) if is_open else all_runs:
        cursor = run.start
        for block in run.blocks:
            frame = _FRAME if is_framed else 0
            start = max(cursor, block.offset - frame)
            if block.coding.compression == NO_COMPRESSION:
                pieces, size = negative(block), block.size
            else:
                code = bytearray()  # in one place: a join would need twice as much memory
                for piece in negative(block):
                    code += piece
                pieces, size = iter((code,)), len(code)
            is_at_end = start + size + 2 * frame > run.end != len(file.data)
            if is_at_end:
                start = end + end % 2
            _put(out, start, size, pieces, is_framed=is_framed)
            places[block.offset] = Place(start + frame, size)
            if is_at_end:
                end = start + size + 2 * frame
            else:
                cursor = start + size + 2 * frame
        if run.end == len(file.data):
            end = cursor
    blocks = [block for run in all_runs for block in run.blocks]
    return Places(blocks, [places[block.offset] for block in blocks]), end


def _put(out: BinaryIO, start: int, size: int, pieces: Iterator[Piece], *, is_framed: bool) -> None:
    """Write a block."""
    at, last = start, b""
    if is_framed:
        os.pwrite(out.fileno(), size.to_bytes(_FRAME, "little"), start)
        at += _FRAME
    for piece in pieces:
        os.pwrite(out.fileno(), piece, at)
        at += len(piece)
        last = (last + bytes(piece[-_FRAME:]))[-_FRAME:]
    if is_framed:
        os.pwrite(out.fileno(), last, at)
