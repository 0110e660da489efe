"""Uploads that are not tried for a time, while newer ones of their keys are processed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from worker.jobs.schedule import Schedule
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

# Listings that are out of date are usually right after fewer attempts.
_MISSED = 4
# More are not remembered: they are tried again if a listing is out of date.
_MAX_GONE = 100_000


@dataclass
class _Pause:
    """Why and how long an upload is not tried.

    Attributes:
        until: When it may be tried again.
        shown: The last listing that showed it.
        failures: How often its deletion failed, or it was not found although it was listed.
        is_being_deleted: Whether its deletion is pending or running.
        awaits_content: Whether it is an empty object that may get its content.
        missed: How often it was not found since it was listed first.
    """

    until: float
    shown: int
    failures: int = 0
    is_being_deleted: bool = False
    awaits_content: bool = False
    missed: int = 0


class PausedUploads:
    """Uploads that are being deleted or cannot be, are empty, or are listed but gone.

    Args:
        schedule: The times.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._listing = 0
        self._pauses: dict[Upload, _Pause] = {}
        # Hashes of uploads that are gone since the last listing began, and since the one before.
        self._gone: set[int] = set()
        self._gone_before: set[int] = set()

    def begin_listing(self) -> None:
        """Expect `note_listed` for every upload that is still there."""
        self._listing += 1
        self._gone_before, self._gone = self._gone, set()

    def note_listed(self, upload: Upload, now: float) -> None:
        """Note that an upload is listed; if it is gone, the listing is out of date: pause."""
        number = hash(upload)
        if number in self._gone or number in self._gone_before:
            self._gone.discard(number)
            self._gone_before.discard(number)
            self.note_failure(upload, now)
        if pause := self._pauses.get(upload):
            pause.shown = self._listing

    def end_listing(self, running: Collection[str]) -> list[Upload]:
        """Forget uploads that were not listed.

        Args:
            running: Keys that are being processed: their uploads are kept.

        Returns:
            The forgotten uploads.
        """
        forgotten = [
            upload
            for upload, pause in self._pauses.items()
            if not pause.is_being_deleted
            and pause.shown < self._listing
            and upload.key not in running
        ]
        for upload in forgotten:
            del self._pauses[upload]
        return forgotten

    def await_content(self, listed: KeyUploads, now: float, clock: datetime) -> None:
        """Let an empty object wait for its content, unless its key has a newer upload.

        Args:
            listed: The work for a key.
            now: The time.
            clock: The time of day, for the object's age.
        """
        for upload in listed.uploads:
            if upload.size == 0 and upload is listed.uploads[-1]:
                self._await_content(upload, now, clock)
            elif upload.size == 0:
                self._resume(upload)

    def awake(self, work: KeyUploads, now: float) -> KeyUploads:
        """Leave out what is paused; a marker stays while a version that it covers does."""
        is_due = all(self.is_due(one, now) for one in work.withdrawn)
        uploads = []
        for one in work.uploads:
            if self.is_due(one, now):
                uploads.append(one)
            elif self.is_searched(one):
                break  # its result must not be stored after a newer one's
        if is_due and len(uploads) == len(work.uploads):
            return work
        return work.reduced(work.withdrawn if is_due else [], uploads)

    def is_due(self, upload: Upload, now: float) -> bool:
        """Return whether an upload may be tried."""
        pause = self._pauses.get(upload)
        return pause is None or not (pause.is_being_deleted or pause.until > now)

    def note_deletion(self, upload: Upload) -> None:
        """Pause a recorded upload until its deletion ends."""
        pause = self._pause_of(upload)
        pause.is_being_deleted, pause.missed = True, 0

    def note_gone(self, upload: Upload) -> None:
        """Note that an upload is deleted or replaced."""
        pause = self._pauses.get(upload)
        if pause and pause.failures:  # if it is listed again, the pause grows
            pause.is_being_deleted, pause.until = False, 0
        elif pause:
            del self._pauses[upload]
        if len(self._gone) < _MAX_GONE:
            self._gone.add(hash(upload))

    def note_missing(self, upload: Upload, now: float) -> bool:
        """Pause an upload that was not found; return whether that happened too often."""
        self.note_failure(upload, now)
        pause = self._pause_of(upload)
        pause.missed += 1
        return pause.missed >= _MISSED

    def note_missed(self, upload: Upload, times: int) -> None:
        """Note how often an upload was not found before."""
        self._pause_of(upload).missed = times

    def is_searched(self, upload: Upload) -> bool:
        """Return whether newer uploads of the key must wait for one that was not found."""
        return self._schedule.searches and 0 < self._missed(upload) < _MISSED

    def forget(self, uploads: Iterable[Upload]) -> list[Upload]:
        """End the pauses of uploads, except of those that are being deleted.

        Returns:
            Those that were not found.
        """
        missing = []
        for upload in uploads:
            pause = self._pauses.get(upload)
            if pause and not pause.is_being_deleted:
                del self._pauses[upload]
                if pause.missed and pause.failures:
                    missing.append(upload)
        return missing

    def _missed(self, upload: Upload) -> int:
        pause = self._pauses.get(upload)
        return pause.missed if pause else 0

    def note_failure(self, upload: Upload, now: float) -> None:
        """Pause an upload that could not be deleted, or was not found."""
        pause = self._pause_of(upload)
        pause.failures += 1
        self.pause(upload, now + self._schedule.pause_after(pause.failures))

    def pause(self, upload: Upload, until: float) -> None:
        """Do not try an upload until a time."""
        pause = self._pause_of(upload)
        pause.until, pause.is_being_deleted, pause.awaits_content = until, False, False

    def _await_content(self, upload: Upload, now: float, clock: datetime) -> None:
        """Pause an empty object that is listed for the first time, until it is old enough."""
        if upload not in self._pauses:
            age = max(0.0, (clock - upload.last_modified).total_seconds())
            self.pause(upload, now + self._schedule.empty - age)
            self._pauses[upload].awaits_content = True

    def _resume(self, upload: Upload) -> None:
        """End the pause of an empty object that awaited its content and was replaced."""
        pause = self._pauses.get(upload)
        if pause and pause.awaits_content and not (pause.is_being_deleted or pause.failures):
            del self._pauses[upload]

    def _pause_of(self, upload: Upload) -> _Pause:
        pause = self._pauses.setdefault(upload, _Pause(0, self._listing))
        pause.shown = self._listing
        return pause
