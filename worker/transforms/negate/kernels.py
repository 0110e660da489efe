"""Load and call the compiled kernels, the C files here, built into one shared library.

`prebuilt` has libraries for Linux on x86_64 and aarch64 (`python -m tools.kernels`). For other
systems `python -m worker build` compiles one beside the sources, and `worker apply` one in the
user's cache. The name contains a hash of the sources, so that an outdated library is never loaded.
Without one, pictures are deferred.
"""

import ctypes
import hashlib
import io
import mmap
import os
import platform
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum, IntFlag
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from worker.errors import UploadDeferred

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / name for name in ("jpeg.c", "png.c", "deflate.c", "tiff.c"))
#: Libraries for the machines; the worker's archive contains them.
PREBUILT = FOLDER / "prebuilt"
_BUFFER_SIZE = 1 << 16
_KEPT_SIZE = 4 << 20  # of each buffer that is kept for the next picture
_kept: list[memoryview] = []

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_LENGTH = ctypes.c_uint64
_SIZE_POINTER, _INT_POINTER = ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_int)

Buffer = bytes | bytearray | memoryview


class JpegStatus(IntEnum):
    """What jpeg_negate returns, in the order of the enum in jpeg.c."""

    DONE = 0
    DAMAGED = 1
    TRUNCATED = 2
    UNSUPPORTED = 3
    NO_CODE = 4  # a Huffman table lacks a code that the negative needs
    NO_SPACE = 5
    NO_MEMORY = 6
    WRITE_FAILED = 7


class JpegDropped(IntFlag):
    """What jpeg_negate dropped: the flags in jpeg.c."""

    LEFT_OVER = 1  # bytes after the last block of a scan or a restart interval
    SEGMENTS = 2  # application segments between scans
    STRAY = 4  # bytes between segments


class PngStatus(IntEnum):
    """What recoder_run returns, in the order of the enum in deflate.c."""

    DONE = 0
    DAMAGED = 1
    NEEDS_DECODED = 2  # a row's filter needs the decoded row above
    NEEDS_INPUT = 3
    NEEDS_SPACE = 4
    TRUNCATED = 5


def file_name(architecture: str = platform.machine()) -> str:
    """Return the library's name for these sources, on this machine's architecture by default."""
    content = b"".join(source.read_bytes() for source in SOURCES)
    return f"kernels-{hashlib.sha256(content).hexdigest()[:16]}-{architecture}.so"


def cache() -> Path:
    """Return the user's cache folder, found without environment variables, which children lack."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a user without a passwd entry has no home
        home = Path("/nonexistent")
    return home / ".cache" / "image-pipeline"


def load(*folders: Path) -> ctypes.CDLL | None:
    """Load the library from the first folder that has it, or return None."""
    for folder in folders:
        # A home that is hidden, a file for another system or C library: try the next folder.
        with suppress(OSError):
            loaded = ctypes.CDLL(str(folder / file_name()), use_errno=True)
            loaded.jpeg_negate.argtypes = [
                *(_POINTER, _SIZE, _POINTER, _SIZE, _POINTER, _SIZE),
                *(_INT, _INT, _INT, _SIZE_POINTER, _SIZE_POINTER, _INT_POINTER),
            ]
            _declare_png(loaded)
            loaded.gif_blocks.argtypes = [_POINTER, _SIZE, _SIZE]
            loaded.gif_blocks.restype = _SIZE
            _declare_tiff(loaded)
            return loaded
    return None


def _declare_png(loaded: ctypes.CDLL) -> None:
    loaded.png_start.argtypes = [_POINTER, _POINTER, _SIZE, _SIZE, _SIZE, _POINTER]
    loaded.png_start.restype = None
    loaded.png_is_whole.argtypes = [_POINTER]
    loaded.recoder_start.argtypes = [_POINTER, _POINTER, _POINTER]
    loaded.recoder_start.restype = None
    loaded.recoder_run.argtypes = [
        *(_POINTER, _POINTER, _SIZE, _INT, _POINTER, _SIZE, _SIZE_POINTER, _SIZE_POINTER)
    ]
    for function in (loaded.png_size, loaded.recoder_size):
        function.argtypes, function.restype = [], _SIZE


def _declare_tiff(loaded: ctypes.CDLL) -> None:
    rows = (_POINTER, _SIZE, _SIZE)
    loaded.tiff_complement.argtypes = [*rows, _POINTER]
    loaded.tiff_complement.restype = None
    loaded.tiff_complement_differences.argtypes = [*rows, _POINTER, _SIZE, _INT, _INT]
    loaded.tiff_complement_differences.restype = None
    loaded.tiff_complement_premultiplied.argtypes = [*rows, _INT, _INT, _SIZE, _SIZE, _INT]
    length = (_LENGTH, ctypes.POINTER(_LENGTH))
    loaded.lzw_complement.argtypes = [_POINTER, _SIZE, _POINTER, *length]
    loaded.lzw_decode.argtypes = [_POINTER, _POINTER, _SIZE, _POINTER, _SIZE, _SIZE_POINTER]
    loaded.lzw_encode.argtypes = [_POINTER, _POINTER, _SIZE, _INT, _POINTER]
    loaded.packbits_complement.argtypes = [_POINTER, _SIZE, *length]
    loaded.packbits_decode.argtypes = [
        *(_POINTER, _SIZE, _SIZE_POINTER, _POINTER, _SIZE, _SIZE_POINTER)
    ]
    loaded.packbits_encode.argtypes = [*rows, _POINTER]
    for function in (loaded.lzw_encode, loaded.packbits_encode):
        function.restype = _SIZE
    for function in (loaded.lzw_decoder_size, loaded.lzw_encoder_size):
        function.argtypes, function.restype = [], _SIZE


#: None if none has been built for this computer.
library = load(PREBUILT, FOLDER, cache())


def path(loaded: ctypes.CDLL) -> Path:
    """Return the file of a library that was loaded."""
    return Path(loaded._name)


def require() -> None:
    """Check that there are kernels, without which no picture is negated.

    Raises:
        UploadDeferred: There are none.
    """
    if library is None:
        system = f"{platform.system()} on {platform.machine()}"
        raise UploadDeferred(
            f"negate needs its compiled kernels, which are not built yet for {system}:"
            " `python -m worker build` builds them, or says why not"
        )


def negate_jpeg(
    head: bytes, tail: Buffer, out: BinaryIO, *, standard_tables: bool
) -> tuple[JpegStatus, int, JpegDropped]:
    """Append the negative of a JPEG to a file, which may be in memory.

    Raises OSError if the file cannot be written, and MemoryError.

    Args:
        head: The segments before the first scan.
        tail: All that follows. A memoryview must be writable; it is not written to.
        out: The file; its position is its end, before and after.
        standard_tables: Code DC differences by table K.3 of T.81, which has all codes.

    Returns:
        The status, how many bytes of tail belong to the picture, and what was dropped of them.
    """
    in_memory = isinstance(out, io.BytesIO)
    out.flush()
    descriptor = -1 if in_memory else out.fileno()
    with _buffer(_negative_size(head, tail) if in_memory else _BUFFER_SIZE) as buffer:
        found = _negate_jpeg(head, tail, buffer, descriptor, standard_tables, -1)
        status, used, written, dropped = found
        if in_memory:
            out.write(buffer[:written])
    out.seek(0, os.SEEK_END)
    return status, used, dropped


def negated_jpeg(
    head: bytes, tail: Buffer, *, standard_tables: bool, brightness: int = -1
) -> tuple[JpegStatus, bytes, int]:
    """Return the negative of a JPEG; as `negate_jpeg`, with the result in memory.

    Args:
        head: The segments before the first scan.
        tail: All that follows.
        standard_tables: Code DC differences by table K.3.
        brightness: The components that rise with brightness, a bit each, and from bit 4 on those
            that stay as they are; -1: as the segments say.

    Returns:
        The status, the negative, and how many bytes of tail belong to the picture.
    """
    with _buffer(_negative_size(head, tail)) as buffer:
        status, used, written, _ = _negate_jpeg(head, tail, buffer, -1, standard_tables, brightness)
        return status, bytes(buffer[:written]), used


def _negative_size(head: bytes, tail: Buffer) -> int:
    """Return the most bytes that a JPEG's negative may have."""
    return 2 * (len(head) + len(tail)) + 8192


@contextmanager
def _buffer(size: int) -> Iterator[memoryview]:
    """Lend a buffer. Small ones are reused: the page faults of a new one cost more than its use."""
    if size > _KEPT_SIZE:
        yield memoryview(mmap.mmap(-1, size))
        return
    try:
        kept = _kept.pop()  # atomic: another thread gets another one
    except IndexError:
        kept = memoryview(mmap.mmap(-1, _KEPT_SIZE))
    try:
        yield kept[:size]
    finally:
        _kept.append(kept)


def _negate_jpeg(  # noqa: PLR0917
    head: bytes,
    tail: Buffer,
    buffer: memoryview,
    descriptor: int,
    standard_tables: bool,
    brightness: int,
) -> tuple[JpegStatus, int, int, JpegDropped]:
    assert library  # noqa: S101
    used, written, dropped = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_int()
    status = JpegStatus(
        library.jpeg_negate(
            *(head, len(head), pointer(tail), len(tail), pointer(buffer), len(buffer), descriptor),
            *(standard_tables, brightness),
            *(ctypes.byref(used), ctypes.byref(written), ctypes.byref(dropped)),
        )
    )
    if status == JpegStatus.NO_MEMORY:
        raise MemoryError
    if status == JpegStatus.WRITE_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return status, used.value, written.value, JpegDropped(dropped.value)


class PngRows:
    """Negates the compressed rows of a picture of a PNG, and keeps how they are compressed."""

    #: Zeros that follow the last of the data, since the kernel reads ahead.
    PADDING = 600
    _SPACE = (1 << 20) + (1 << 16)  # more than the largest block needs

    def __init__(
        self,
        passes: Sequence[tuple[int, int]],
        pixel_bytes: int,
        color_bytes: int,
        *,
        decoding: bool,
    ) -> None:
        """Prepare for a picture.

        Args:
            passes: Rows of each pass, and bytes of a row without its filter byte.
            pixel_bytes: Bytes of a pixel, at least 1.
            color_bytes: How many of those are not alpha.
            decoding: Whether a row's filter needs the decoded row above.
        """
        assert library  # noqa: S101
        self._library = library
        self._rows, self._recoder = _zeros(library.png_size()), _zeros(library.recoder_size())
        self._decoded = _zeros(2 * max(size for _, size in passes)) if decoding else None
        self._out, self._space = mmap.mmap(-1, self._SPACE), self._SPACE
        numbers = (_SIZE * (2 * len(passes)))(*chain.from_iterable(passes))
        library.png_start(
            *(self._rows, numbers, len(passes), pixel_bytes, color_bytes, self._decoded)
        )
        change = ctypes.cast(library.png_change, _POINTER)
        library.recoder_start(self._recoder, change, self._rows)

    @property
    def is_whole(self) -> bool:
        """Whether all rows were in the data."""
        return bool(self._library.png_is_whole(self._rows))

    def run(self, data: bytes, *, has_all: bool) -> tuple[PngStatus, int, bytes]:
        """Negate the next part of the data.

        Args:
            data: It begins with what the last call did not use.
            has_all: Whether it is the last part, with `PADDING` zeros after it.

        Returns:
            The status, how many bytes were used, and the next part of the negative's data.
        """
        used, written = ctypes.c_size_t(), ctypes.c_size_t()
        out = (ctypes.c_char * self._space).from_buffer(self._out)
        status = PngStatus(
            self._library.recoder_run(
                *(self._recoder, data, len(data), has_all, out, self._space),
                *(ctypes.byref(used), ctypes.byref(written)),
            )
        )
        return status, used.value, self._out[: written.value]


def _zeros(size: int) -> "ctypes.Array[ctypes.c_char]":
    """Return memory of which the untouched part takes no room."""
    return (ctypes.c_char * size).from_buffer(mmap.mmap(-1, size))


def end_of_gif_blocks(data: memoryview, at: int) -> int:
    """Return where a GIF's data sub-blocks end; IndexError if they do not."""
    assert library  # noqa: S101
    end: int = library.gif_blocks(pointer(data), len(data), at)
    if not end:
        raise IndexError
    return end


def pointer(data: Buffer) -> "ctypes.Array[ctypes.c_char] | bytes":
    """Return what ctypes passes as a pointer to data, without a copy; data must outlive it."""
    if isinstance(data, bytes):
        return data
    return (ctypes.c_char * len(data)).from_buffer(data)
