"""Capture what libtiff prints: the only sign of damaged CCITT data, which it decodes anyway."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STANDARD_ERROR = 2
_PIPE_BYTES = 1 << 16  # pipe(7)


@contextmanager
def captured() -> Iterator[bytearray]:
    """Redirect the process's standard error while the block runs.

    Yields:
        What was printed, once the block has ended; at most as much as fits into a pipe.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)  # libtiff ignores that a message could not be written
    saved = os.dup(_STANDARD_ERROR)
    os.dup2(writer, _STANDARD_ERROR)
    os.close(writer)
    messages = bytearray()
    try:
        yield messages
    finally:
        os.dup2(saved, _STANDARD_ERROR)
        os.close(saved)
        with suppress(BlockingIOError):
            messages += os.read(reader, _PIPE_BYTES)
        os.close(reader)
