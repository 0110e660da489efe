"""Files to be sent: found, sent several at once, and awaited."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.bucket_client import BucketClient, StoreUnavailable
from cli.errors import CommandError, Interrupted, file_error
from cli.paths import CHECKOUT
from cli.stacks.target import command_line
from cli.terminal import progress_bar, visible
from worker.quantities import counted
from worker.store.store import hash_file

_THREADS = 8
_POLL_SECONDS = 0.1
# CPython misses a signal that arrives just before a thread blocks, until it wakes up.
_SIGNAL_SECONDS = 0.5
_MAX_KEY = 1024  # bytes of UTF-8 (S3 API reference)
_MAX_SIZE = 5 << 30  # bytes of a single PUT (S3 API reference)
#: What file managers leave in folders.
_IGNORED = {"Thumbs.db", "desktop.ini"}
_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Photo:
    """A file and the object key it gets."""

    path: Path
    key: str

    def check(self) -> None:
        """Refuse what no store accepts.

        Raises:
            CommandError: The key is not UTF-8 or too long, or the file too large.
        """
        try:
            length = len(self.key.encode())
        except UnicodeEncodeError:
            raise CommandError("its name is not UTF-8; rename it.") from None
        if length > _MAX_KEY:
            raise CommandError(f"its name has {length} bytes, the limit is {_MAX_KEY}; rename it.")
        if self.path.stat().st_size > _MAX_SIZE:
            raise CommandError("larger than 5 GiB, the limit of a single PUT; split it.")


def find_photos(paths: Sequence[Path], prefix: str = "") -> list[Photo]:
    """Return the files to send: those named, and all in the folders named.

    Args:
        paths: Files, whose keys are their names, and folders, whose files' keys begin with the
            folder's name. Hidden files in folders are left out.
        prefix: A folder of the bucket, put before every key.

    Raises:
        CommandError: A path does not exist, a folder cannot be read, or two files would get one
            key; one line for each.
    """
    prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    found: dict[str, Path] = {}
    problems: list[str] = []
    for path in paths:
        try:
            files = _files(path)
        except OSError as error:
            problems.append(file_error(error).message)
            continue
        for file, name in files:
            if (other := found.setdefault(name, file)) != file:
                problems.append(
                    f"'{visible(str(other))}' and '{visible(str(file))}' would both become object "
                    f"'{visible(prefix + name)}': rename one or send them one after the other."
                )
    if problems:
        raise CommandError("\n".join(problems))
    return [Photo(path, prefix + name) for name, path in found.items()]


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return a file, or a folder's files, each with its key."""
    if path.is_file():
        return [(path, path.name)]
    name = path.resolve().name
    found = []
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            if file.startswith(".") or file in _IGNORED:
                continue
            place = Path(folder, file)
            if place.is_file():
                found.append((place, (Path(name) / place.relative_to(path)).as_posix()))
    return found


def _raise(error: OSError) -> None:
    raise error


def sample_photos() -> list[Photo]:
    """Return the photos that come with the project."""
    folder = CHECKOUT / "samples"
    return find_photos(sorted(p for p in folder.iterdir() if p.suffix in {".jpg", ".png", ".tif"}))


@dataclass
class Report:
    """What became of the files, by key."""

    sent: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def send(
    client: BucketClient,
    photos: Sequence[Photo],
    progress: Callable[[int], None],
    *,
    again: bool = False,
) -> Report:
    """Send files, several at once; one that fails does not stop the others.

    Args:
        client: The stack's buckets.
        photos: What to send.
        progress: Called with the number of files that are done.
        again: Whether files that were sent before are sent once more.

    Returns:
        What became of each file.

    Raises:
        Interrupted: Ctrl-C; the message says what was sent.
        StoreUnavailable: The store refuses every request.
    """
    report, pending = Report(), _queue(photos)
    ended: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                photo = pending.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((photo.key, _send_one(client, photo, again=again)))
            except Exception as error:  # noqa: BLE001  raised in the main thread
                ended.put((photo.key, error))

    # Daemon threads: an interrupted process does not wait for running requests.
    for _ in range(min(_THREADS, len(photos))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for done in range(1, len(photos) + 1):
            _record(report, *_next(ended))
            progress(done)
    except KeyboardInterrupt:
        _clear(pending)
        while not ended.empty():
            _record(report, *ended.get())
        raise Interrupted(_interruption(report, len(photos))) from None
    except StoreUnavailable as error:
        _clear(pending)
        raise StoreUnavailable(_so_far(report, len(photos), error.message)) from None
    return report


def _queue(photos: Iterable[Photo]) -> "queue.SimpleQueue[Photo]":
    pending: queue.SimpleQueue[Photo] = queue.SimpleQueue()
    for photo in photos:
        pending.put(photo)
    return pending


def _next(ended: "queue.SimpleQueue[tuple[str, object]]") -> tuple[str, object]:
    """Wait for a file to end; Ctrl-C is noticed at any moment."""
    while True:
        try:
            return ended.get(timeout=_SIGNAL_SECONDS)
        except queue.Empty:
            continue


def _clear(pending: "queue.SimpleQueue[Photo]") -> None:
    while not pending.empty():
        try:
            pending.get_nowait()
        except queue.Empty:
            return


def _send_one(client: BucketClient, photo: Photo, *, again: bool) -> object:
    """Return True if sent, False if it was there, or the error."""
    try:
        photo.check()
        contents = hash_file(photo.path)
        if not again and client.has(contents, photo.key):
            return False
        client.put(contents, photo.key)
    except OSError as error:
        error.filename = error.filename or str(photo.path)
        return file_error(error)
    except CommandError as error:
        return error
    return True


def _record(report: Report, key: str, outcome: object) -> None:
    if isinstance(outcome, CommandError) and not isinstance(outcome, StoreUnavailable):
        report.failures.append(f"{visible(key)}: {outcome.message}")
    elif isinstance(outcome, Exception):
        raise outcome
    elif outcome:
        report.sent.append(key)
    else:
        report.skipped.append(key)


def await_results(
    client: BucketClient, keys: Sequence[str], patience: float, *, with_removal: bool = True
) -> None:
    """Wait until uploads have been processed, and show the progress.

    Args:
        client: The buckets.
        keys: Keys of the uploads.
        patience: Seconds without progress after which to give up.
        with_removal: Wait until they are removed, too, which takes the seconds of grace.

    Raises:
        CommandError: There was no progress for so long.
    """
    count = client.count_processed if with_removal else client.count_answered
    with progress_bar("Negating", len(keys)) as bar:
        done, last_progress = 0, time.monotonic()
        while done < len(keys):
            now = count(keys)
            if now > done:
                done, last_progress = now, time.monotonic()
                bar.advance_to(done)
            elif time.monotonic() - last_progress > patience:
                status = command_line("status", client.stack)
                photos = counted(len(keys) - done, "photo")
                raise CommandError(
                    f"{photos} still waiting after {patience:.0f} s without "
                    f"progress: '{status}' shows why."
                )
            else:
                time.sleep(_POLL_SECONDS)


def _interruption(report: Report, total: int) -> str:
    lines = [f"Interrupted: {len(report.sent)} of {total} files were sent"]
    if report.sent:
        names = ", ".join(map(visible, report.sent[:_NAMES_SHOWN]))
        more = len(report.sent) - _NAMES_SHOWN
        lines.append(f" ({names}{f' and {more} more' if more > 0 else ''})")
    lines.append("; the same command sends the rest.")
    return "".join([*lines, *(f"\n{failure}" for failure in report.failures)])


def _so_far(report: Report, total: int, message: str) -> str:
    return f"{len(report.sent)} of {total} files were sent. {message}" if report.sent else message
