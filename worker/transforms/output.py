"""What a transform prints: its end becomes the job's log."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TextIO

#: The most bytes of a log.
MAX_BYTES = 16 << 10
_CUT = "… (the beginning is not kept)\n"


class Output:
    """The end of what was printed, once the block has ended."""

    text: str = ""


@contextmanager
def captured(folder: Path) -> Iterator[Output]:
    """Redirect the output of this process, and of those that it starts, into a file.

    Args:
        folder: Where the file is kept; it has no name there.

    Yields:
        Has the end of the output once the block has ended.
    """
    output, streams = Output(), (_stream(sys.stdout, 1), _stream(sys.stderr, 2))
    with TemporaryFile(dir=folder) as file:
        saved = [os.dup(1), os.dup(2)]
        _flush(streams)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
                yield output
        finally:
            _flush(streams)
            for number, descriptor in enumerate(saved, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            output.text = tail(file)


def tail(file: IO[bytes]) -> str:
    """Return the end of a log; see `shown`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MAX_BYTES))
    return shown(file.read(MAX_BYTES), is_whole=size <= MAX_BYTES)


def shown(data: bytes, *, is_whole: bool) -> str:
    """Return the end of a log: whole lines of printable characters, at most MAX_BYTES in UTF-8.

    Args:
        data: The end of what was printed.
        is_whole: Whether it has the beginning too.
    """
    text = data.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text if c != "\r")
    encoded = text.encode()  # a replaced byte takes three
    if is_whole and len(encoded) <= MAX_BYTES:
        return text
    rest = encoded[-(MAX_BYTES - len(_CUT.encode())) :].decode("utf-8", "ignore")
    return _CUT + (rest.partition("\n")[2] or rest)


def _flush(streams: tuple[TextIO, TextIO]) -> None:
    for stream in streams:
        stream.flush()


def _stream(current: TextIO, descriptor: int) -> TextIO:
    """Return the current stream if it writes to the descriptor, else one that does.

    It stays open for the life of the process: a log handler of the user's may keep it.
    """
    try:
        if current.fileno() == descriptor:
            return current
    except (OSError, ValueError, AttributeError):  # pytest's, or closed
        pass
    return _opened(descriptor)


@cache
def _opened(descriptor: int) -> TextIO:
    return open(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)
