"""Load and call the compiled kernels, `jpeg.c` and `png.c`, built into one shared library.

`prebuilt` has libraries for Linux on x86_64 and aarch64 (`python -m tools.kernels`). For other
systems `python -m worker build` compiles one beside the sources, and `worker apply` one in the
user's cache. The name contains a hash of the sources, so that an outdated library is never loaded.
Without one, the files that need it are deferred.
"""

import ctypes
import hashlib
import os
import platform
import pwd
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from worker.errors import UploadDeferred

FOLDER = Path(__file__).parent
SOURCES = (FOLDER / "jpeg.c", FOLDER / "png.c")
#: Libraries for the machines; the worker's archive contains them.
PREBUILT = FOLDER / "prebuilt"
_BUFFER_SIZE = 1 << 16

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_SIZE_POINTER = ctypes.POINTER(ctypes.c_size_t)

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


class PngStatus(IntEnum):
    """What png_negate returns, in the order of the enum in png.c."""

    DONE = 0
    DAMAGED = 1
    NEEDS_DECODED = 2  # a row's filter needs the decoded row above


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
                *(_INT, _INT, _INT, _SIZE_POINTER, _SIZE_POINTER),
            ]
            loaded.png_negate.argtypes = [_POINTER, _SIZE, _SIZE, _SIZE, _SIZE, _INT, _POINTER]
            loaded.gif_blocks.argtypes = [_POINTER, _SIZE, _SIZE]
            loaded.gif_blocks.restype = _SIZE
            return loaded
    return None


#: None if none has been built for this computer.
library = load(PREBUILT, FOLDER, cache())


def path(loaded: ctypes.CDLL) -> Path:
    """Return the file of a library that was loaded."""
    return Path(loaded._name)


def require(what: str) -> None:
    """Check that there are kernels, for files that nothing else negates without loss.

    Args:
        what: The kind of picture, in the singular: "a JPEG".

    Raises:
        UploadDeferred: There are none.
    """
    if library is None:
        system = f"{platform.system()} on {platform.machine()}"
        raise UploadDeferred(
            f"{what} needs the compiled kernels, which are not built yet: for {system} the machine"
            " builds them itself, by a C compiler"
        )


def negate_jpeg(
    head: bytes, tail: Buffer, descriptor: int, *, standard_tables: bool
) -> tuple[JpegStatus, int]:
    """Write the negative of a JPEG to a file.

    Raises OSError if the file cannot be written, and MemoryError.

    Args:
        head: The segments before the first scan.
        tail: All that follows. A memoryview must be writable; it is not written to.
        descriptor: The file to append to.
        standard_tables: Code DC differences by table K.3 of T.81, which has all codes.

    Returns:
        The status, and how many bytes of tail belong to the picture.
    """
    buffer = ctypes.create_string_buffer(_BUFFER_SIZE)
    status, used, _ = _negate_jpeg(head, tail, buffer, descriptor, standard_tables, -1)
    return status, used


def negated_jpeg(
    head: bytes, tail: Buffer, *, standard_tables: bool, brightness: int = -1
) -> tuple[JpegStatus, bytes, int]:
    """Return the negative of a JPEG; as `negate_jpeg`, with the result in memory.

    Args:
        head: The segments before the first scan.
        tail: All that follows.
        standard_tables: Code DC differences by table K.3.
        brightness: The components that rise with brightness, a bit each; -1: as the segments say.

    Returns:
        The status, the negative, and how many bytes of tail belong to the picture.
    """
    buffer = ctypes.create_string_buffer(2 * (len(head) + len(tail)) + 8192)
    status, used, written = _negate_jpeg(head, tail, buffer, -1, standard_tables, brightness)
    return status, buffer.raw[:written], used


def _negate_jpeg(  # noqa: PLR0917
    head: bytes,
    tail: Buffer,
    buffer: "ctypes.Array[ctypes.c_char]",
    descriptor: int,
    standard_tables: bool,
    brightness: int,
) -> tuple[JpegStatus, int, int]:
    assert library  # noqa: S101
    used, written = ctypes.c_size_t(), ctypes.c_size_t()
    status = JpegStatus(
        library.jpeg_negate(
            *(head, len(head), _pointer(tail), len(tail), buffer, len(buffer), descriptor),
            *(standard_tables, brightness, ctypes.byref(used), ctypes.byref(written)),
        )
    )
    if status == JpegStatus.NO_MEMORY:
        raise MemoryError
    if status == JpegStatus.WRITE_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return status, used.value, written.value


def negate_png_rows(
    rows: bytearray,
    row_bytes: int,
    pixel_bytes: int,
    color_bytes: int,
    decoded: bytearray | None,
    *,
    first: bool,
) -> PngStatus:
    """Negate filtered rows of a PNG in place.

    Args:
        rows: Whole rows, each a filter byte and `row_bytes` bytes.
        row_bytes: Bytes of a row without its filter byte.
        pixel_bytes: Bytes of a pixel, at least 1.
        color_bytes: How many of those are not alpha.
        decoded: Two rows of memory between calls, the first of them the decoded row above; None
            while no row needs it.
        first: Whether the first row is the image's, or the pass's, first one.

    Returns:
        The status.
    """
    assert library  # noqa: S101
    return PngStatus(
        library.png_negate(
            *(_pointer(rows), len(rows) // (row_bytes + 1), row_bytes, pixel_bytes, color_bytes),
            *(first, _pointer(decoded) if decoded is not None else None),
        )
    )


def end_of_gif_blocks(data: memoryview, at: int) -> int:
    """Return where a GIF's data sub-blocks end; IndexError if they do not."""
    if library:
        end: int = library.gif_blocks(_pointer(data), len(data), at)
        if not end:
            raise IndexError
        return end
    while data[at]:
        at += data[at] + 1
    return at + 1


def _pointer(data: Buffer) -> "ctypes.Array[ctypes.c_char] | bytes":
    """Return what ctypes passes as a pointer to data, without a copy; data must outlive it."""
    if isinstance(data, bytes):
        return data
    return (ctypes.c_char * len(data)).from_buffer(data)
