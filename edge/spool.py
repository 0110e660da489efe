"""The spool: pictures and minutes on disk until the cloud has confirmed them.

Everything is written to a temporary name, flushed to the disk (fsync) and renamed, so that a power
cut leaves whole files or none. Names hold all that is known about a file:

    pending/BOOT.NUMBER     a picture that is not confirmed
    minutes/BOOT.MINUTE     counters of a minute that are not confirmed
    refused/BOOT.NUMBER     a picture that the cloud will never store; beside it .txt, the reason
"""

import errno
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from edge.errors import SpoolBusy, SpoolFull, SpoolUnusable

_PENDING = re.compile(r"([a-z0-9-]{1,32})\.(\d{10})")
_MINUTE = re.compile(r"([a-z0-9-]{1,32})\.([0-9T:Z-]{17})")
_PARTIAL = ".partial"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_MAX_MINUTES = 20_000  # two weeks of them


class Key(NamedTuple):
    """What identifies a picture: the start of the process that took it, and its number there."""

    boot: str
    number: int


class Minute(NamedTuple):
    """What identifies counters: the start of the process, and the minute."""

    boot: str
    minute: str


class Spool:
    """The spool of a camera; at most one process has it open.

    Every method that uses the disk raises SpoolUnusable if that fails.

    Args:
        folder: Where it is; made if need be.
        max_bytes: The most bytes of pending pictures.
        max_refused_bytes: The most bytes of refused ones, of which the oldest are removed.

    Raises:
        SpoolBusy: Another process has it open.
        SpoolUnusable: It cannot be read or written.
    """

    def __init__(self, folder: Path, max_bytes: int, max_refused_bytes: int) -> None:
        self.folder, self._max, self._max_refused = folder, max_bytes, max_refused_bytes
        self._pending, self._refused = folder / "pending", folder / "refused"
        self._minutes = folder / "minutes"
        self._sizes: dict[Key, int] = {}
        self._bytes = 0
        self._changed = threading.Condition()
        with self._usable():
            for each in (folder, self._pending, self._refused, self._minutes):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
            self._take_lock()
            for each in (self._pending, self._refused, self._minutes):
                for path in each.glob(f"*{_PARTIAL}"):
                    path.unlink()
            for path in sorted(self._pending.iterdir()):
                if match := _PENDING.fullmatch(path.name):
                    self._sizes[Key(match[1], int(match[2]))] = path.stat().st_size
        self._bytes = sum(self._sizes.values())

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SpoolUnusable(_unusable(self.folder, error)) from None

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolBusy(
                f"Another process uses the spool {self.folder}: stop it, or set spool.folder to"
                " another folder."
            ) from None

    def close(self) -> None:
        """Let another process open it."""
        self._lock.close()

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """The bytes of all pending pictures."""
        return self._bytes

    def pending(self) -> list[tuple[Key, int]]:
        """Return the pending pictures with their bytes, in the order of their names."""
        with self._changed:
            return list(self._sizes.items())

    def put(self, key: Key, picture: bytes) -> None:
        """Store a picture; it is on the disk when this returns.

        Args:
            key: What identifies it.
            picture: Its content.

        Raises:
            SpoolFull: There is no room for it in the spool or on the disk.
            SpoolUnusable: The disk fails otherwise.
        """
        if self._bytes + len(picture) > self._max:
            raise SpoolFull(
                f"The spool {self.folder} is full ({self._bytes / 1e6:.0f} MB in"
                f" {len(self)} pictures)"
            )
        try:
            _write(self._pending / _name(key), picture)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise SpoolFull(f"The disk of the spool {self.folder} is full") from None
            raise SpoolUnusable(_unusable(self.folder, error)) from None
        with self._changed:
            self._sizes[key] = len(picture)
            self._bytes += len(picture)

    def read(self, key: Key) -> bytes | None:
        """Return a pending picture, None if it is gone or cannot be read."""
        try:
            return (self._pending / _name(key)).read_bytes()
        except OSError:
            return None

    def remove(self, key: Key) -> None:
        """Forget a picture: the cloud has it, or it was dropped."""
        if self._forget(key):
            with self._usable():
                (self._pending / _name(key)).unlink(missing_ok=True)

    def refuse(self, key: Key, reason: str) -> None:
        """Keep a picture that the cloud will never store, and the reason; the oldest make room.

        Args:
            key: What identifies it.
            reason: The cloud's sentence.
        """
        if self._forget(key):
            with self._usable():
                self._set_aside(key, reason)

    def _set_aside(self, key: Key, reason: str) -> None:
        path = self._refused / _name(key)
        (self._pending / path.name).rename(path)
        with suppress(OSError):  # a full disk; the journal has the reason too
            path.with_name(f"{path.name}.txt").write_text(f"{reason}\n", "utf-8")
        kept = sorted(self._refused.iterdir(), key=lambda each: (each.stat().st_mtime, each.name))
        total = sum(each.stat().st_size for each in kept)
        for each in kept:
            if total <= self._max_refused:
                break
            total -= each.stat().st_size
            each.unlink()

    def await_room(self, seconds: float) -> None:
        """Wait until a picture was removed, for some seconds at most."""
        with self._changed:
            self._changed.wait(seconds)

    def minutes(self) -> list[tuple[Minute, bytes]]:
        """Return the minutes that are not confirmed, with their counters."""
        found = []
        with self._usable():
            for path in sorted(self._minutes.iterdir()):
                if match := _MINUTE.fullmatch(path.name):
                    found.append((Minute(match[1], match[2]), path.read_bytes()))
        return found

    def put_minute(self, key: Minute, counters: bytes) -> bool:
        """Store the counters of a minute; the oldest are dropped where there are too many.

        Returns:
            False if the disk has no room.
        """
        try:
            _write(self._minutes / _name(key), counters)
        except OSError:
            return False
        with self._usable():
            for path in sorted(self._minutes.iterdir())[:-_MAX_MINUTES]:
                path.unlink()
        return True

    def remove_minute(self, key: Minute) -> None:
        """Forget a minute: the cloud has its counters."""
        with self._usable():
            (self._minutes / _name(key)).unlink(missing_ok=True)

    def _forget(self, key: Key) -> bool:
        with self._changed:
            size = self._sizes.pop(key, None)
            self._bytes -= size or 0
            self._changed.notify_all()
        return size is not None


def _unusable(folder: Path, error: OSError) -> str:
    return (
        f"The spool {folder} cannot be used ({error.strerror or error}): set spool.folder to a"
        " folder that this user can write."
    )


def _name(key: Key | Minute) -> str:
    return f"{key.boot}.{key[1]:010d}" if isinstance(key, Key) else f"{key.boot}.{key[1]}"


def _write(path: Path, content: bytes) -> None:
    """Write a file so that a power cut leaves all of it, or nothing."""
    partial = path.with_name(f"{path.name}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
