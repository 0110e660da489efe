"""Write a TIFF with changed blocks: other bytes stay where they are, unless they must make room.

Blocks that lie next to each other form a run. A changed block begins where the source's does, or,
if those before it have grown, right after them; what does not fit into its run goes to where others
were, or to the end of the file.
"""

import heapq
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from worker.errors import InvalidInput
from worker.transforms.negate.tiff.blocks import Block, Piece
from worker.transforms.pictures.mapped_file import MappedFile
from worker.transforms.pictures.tiff_pages import LZW, NO_COMPRESSION, PACKBITS

_MAX_PADDING = 15  # zeros between blocks that belong to none: writers align blocks to 16 bytes
_LEAST_HOLE = 256  # bytes; smaller ones are left
_FEW = 8  # blocks of a run, which leave a large hole if one of them moves
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
    blocks: Iterable[Block],
    kept: Iterable[tuple[int, int]],
    free: Iterable[tuple[int, int]],
    data: memoryview,
    *,
    is_framed: bool,
) -> list[Run]:
    """Return the runs of blocks.

    Args:
        blocks: The blocks of the file.
        kept: Where things that stay begin and end.
        free: The same of things that will be elsewhere: their space belongs to the runs.
        data: The file.
        is_framed: Whether each block is between its size and its last bytes, as in a COG.

    Returns:
        The runs, in the order of the file.

    Raises:
        InvalidInput: A block overlaps another one or something else.
    """
    frame = _FRAME if is_framed else 0
    items: list[tuple[int, int, Block | bool]] = [(start, end, True) for start, end in kept]
    items += [(start, end, False) for start, end in free]
    items += [(each.offset - frame, each.offset + each.size + frame, each) for each in blocks]
    items.sort(key=lambda item: item[:2])
    found: list[Run] = []
    end_of_kept = end_of_free = end_of_blocks = 0
    for start, end, item in items:
        is_block = isinstance(item, Block)
        if start < end_of_blocks or start < (
            max(end_of_kept, end_of_free) if is_block else end_of_free if item else end_of_kept
        ):
            raise InvalidInput("the TIFF's strips or tiles overlap each other or other data")
        if item is True:
            end_of_kept = max(end_of_kept, end)
            continue
        last = found[-1].end if found else 0
        if not (found and end_of_kept <= last and _is_padding(data[last:start])):
            found.append(Run(start, end))
        elif end > last:
            found[-1] = Run(found[-1].start, end, found[-1].blocks)
        if isinstance(item, Block):
            found[-1].blocks.append(item)
            end_of_blocks = end
        else:
            end_of_free = max(end_of_free, end)
    return found


def is_scattered(all_runs: list[Run], size: int) -> bool:
    """Return whether much of a file is blocks that may grow, few in a row.

    Each would leave a hole as large as itself.

    Args:
        all_runs: The runs of blocks between directories that stay.
        size: Bytes of the file.

    Returns:
        Whether directories had better make room for them.
    """
    scattered = sum(
        block.size
        for run in all_runs
        if run.end != size and len(run.blocks) <= _FEW
        for block in run.blocks
        if _may_grow(block)
    )
    return scattered * _FEW > size


def _may_grow(block: Block) -> bool:
    coding = block.coding
    if coding.is_kept or coding.compression == NO_COMPRESSION:
        return False
    stored = coding.samples
    is_whole = stored and stored.predictor == 1 and stored.channels == stored.color_channels
    return not (is_whole and coding.compression in (LZW, PACKBITS))  # codes are complemented


def _is_padding(gap: memoryview) -> bool:
    return len(gap) <= _MAX_PADDING and not any(gap)


class _Space:
    """Where blocks go that do not fit into their run: to where others were, or to the end."""

    def __init__(self, end: int) -> None:
        self.end = end
        self._holes: list[tuple[int, int]] = []  # a heap of (−size, start)

    def leave(self, start: int, end: int) -> None:
        """Note that nothing is between start and end."""
        if end - start >= _LEAST_HOLE:
            heapq.heappush(self._holes, (start - end, start))

    def take(self, size: int) -> int | None:
        """Return where so many bytes fit into the largest hole; None if they do not."""
        if not self._holes or -self._holes[0][0] < size:
            return None
        negative_size, start = heapq.heappop(self._holes)
        self.leave(start + size, start - negative_size)
        return start

    def append(self, size: int) -> int:
        """Return where so many bytes are at the end."""
        start = self.end + self.end % 2
        self.end = start + size
        return start


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
        negative: Returns pieces of a block's negative, exactly as long if it is not compressed.
        is_framed: Whether each block is between its size and its last bytes, as in a COG.

    Returns:
        The new places of blocks, and where the file ends.

    Raises:
        InvalidInput: A block is damaged.
    """  # noqa: DOC502  raised by `negative`
    size, at = len(file.data), 0
    for run in all_runs:
        out.seek(at)
        file.copy(at, run.start, out)
        at = run.end
    out.seek(at)
    file.copy(at, size, out)
    out.flush()
    frame = _FRAME if is_framed else 0
    space, places = _Space(size), dict[int, Place]()
    # The last run of a file may grow, if nothing has been put behind it.
    is_open = bool(all_runs) and all_runs[-1].end == size
    for run in all_runs[-1:] + all_runs[:-1] if is_open else all_runs:
        may_grow, cursor = run.end == size, run.start
        for block in run.blocks:
            # Those of a COG stay next to each other: a mask right behind its picture.
            start = cursor if is_framed else max(cursor, block.offset - frame)
            available = None if may_grow else run.end - start - 2 * frame
            if block.coding.compression == NO_COMPRESSION:
                pieces, length = negative(block), block.size
            else:
                code = bytearray()  # in one place: a join would need twice as much memory
                for piece in negative(block):
                    code += piece
                pieces, length = iter((code,)), len(code)
            total = length + 2 * frame
            if available is None or length <= available:
                space.leave(cursor, start)
                cursor = start + total
            else:
                hole = space.take(total)
                start = space.append(total) if hole is None else hole
            _put(out, start, length, pieces, is_framed=is_framed)
            places[block.offset] = Place(start + frame, length)
        if may_grow:
            space.end = cursor
        else:
            space.leave(cursor, run.end)
    blocks = [block for run in all_runs for block in run.blocks]
    return Places(blocks, [places[block.offset] for block in blocks]), space.end


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
