"""The compiled parts of the transforms: `jpeg.c` and `png.c` in one shared object.

`python -m worker.transforms.build` makes it; a worker only looks for it, beside the sources and
in the user's cache, under a name that holds the hash of the sources. Where there is none, images
are negated by Pillow, slower.
"""

import ctypes
import hashlib
import os
import platform
import pwd
from contextlib import suppress
from pathlib import Path

_HERE = Path(__file__).parent
SOURCES = (_HERE / "jpeg.c", _HERE / "png.c")
#: Answers of jpeg_negate and png_negate, in the order of their enums.
DONE, DAMAGED = 0, 1
TRUNCATED, UNSUPPORTED, NO_CODE, NO_SPACE, NO_MEMORY, WRITE_FAILED = range(2, 8)
NEEDS_DECODED = 2

_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_OUT = ctypes.POINTER(ctypes.c_size_t)


def file_name() -> str:
    """What the shared object of these sources is called on this kind of machine."""
    content = b"".join(source.read_bytes() for source in SOURCES)
    return f"kernels-{hashlib.sha256(content).hexdigest()[:16]}-{platform.machine()}.so"


def cache() -> Path:
    """The user's cache; without environment variables, which a sandboxed child has not."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a user without an entry has no home
        home = Path("/nonexistent")
    return home / ".cache" / "image-pipeline"


def load(*folders: Path) -> ctypes.CDLL | None:
    """The shared object in the first of the folders that has it."""
    for folder in folders:
        # A home that is hidden, or a file for another C library: go on without.
        with suppress(OSError):
            library = ctypes.CDLL(str(folder / file_name()), use_errno=True)
            library.jpeg_negate.argtypes = [
                *(_POINTER, _SIZE, _POINTER, _SIZE, _POINTER, _SIZE),
                *(_INT, _INT, _OUT, _OUT),
            ]
            library.png_negate.argtypes = [_POINTER, _SIZE, _SIZE, _SIZE, _SIZE, _INT, _POINTER]
            library.gif_blocks.argtypes = [_POINTER, _SIZE, _SIZE]
            library.gif_blocks.restype = _SIZE
            return library
    return None


#: None where nobody has built it.
library = load(_HERE, cache())

_SIZE_OF_BUFFER = 1 << 16


def _address(data: bytes | bytearray | memoryview) -> "int | ctypes.Array[ctypes.c_char] | bytes":
    """Something ctypes takes as a pointer, without a copy; it must outlive the call."""
    if isinstance(data, bytes):
        return data
    return (ctypes.c_char * len(data)).from_buffer(data)


def jpeg(
    head: bytes, tail: bytes | bytearray | memoryview, descriptor: int, *, anew: bool
) -> tuple[int, int]:
    """Write the negative of a JPEG, given in two parts, to a file; the answer, bytes used of tail.

    tail, where it is a memoryview, must be writable (it is not written to). OSError where the
    file takes no more, MemoryError.
    """
    buffer = ctypes.create_string_buffer(_SIZE_OF_BUFFER)
    answer, used, _ = _jpeg(head, tail, buffer, descriptor, anew)
    return answer, used


def jpeg_bytes(
    head: bytes, tail: bytes | bytearray | memoryview, *, anew: bool
) -> tuple[int, bytes, int]:
    """The same in memory: the answer, the negative, bytes used of tail."""
    buffer = ctypes.create_string_buffer(2 * (len(head) + len(tail)) + 8192)
    answer, used, written = _jpeg(head, tail, buffer, -1, anew)
    return answer, buffer.raw[:written], used


def _jpeg(
    head: bytes,
    tail: bytes | bytearray | memoryview,
    buffer: "ctypes.Array[ctypes.c_char]",
    descriptor: int,
    anew: bool,
) -> tuple[int, int, int]:
    assert library  # noqa: S101
    used, written = ctypes.c_size_t(), ctypes.c_size_t()
    answer = library.jpeg_negate(
        *(head, len(head), _address(tail), len(tail), buffer, len(buffer), descriptor, anew),
        *(ctypes.byref(used), ctypes.byref(written)),
    )
    if answer == NO_MEMORY:
        raise MemoryError
    if answer == WRITE_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer, used.value, written.value


def png_rows(
    rows: bytearray, length: int, pixel: tuple[int, int], decoded: bytearray | None, *, first: bool
) -> int:
    """Negate whole filtered rows of `length` bytes and a filter byte each, in place; the answer.

    pixel: bytes of a pixel, and how many of them are colours. decoded: see png.c.
    """
    assert library  # noqa: S101
    answer: int = library.png_negate(
        *(_address(rows), len(rows) // (length + 1), length, *pixel, first),
        _address(decoded) if decoded is not None else None,
    )
    return answer


def gif_blocks(data: memoryview, at: int) -> int:
    """Where the sub-blocks at `at` end; IndexError where they do not."""
    if library:
        end: int = library.gif_blocks(_address(data), len(data), at)
        if not end:
            raise IndexError
        return end
    while data[at]:
        at += data[at] + 1
    return at + 1
