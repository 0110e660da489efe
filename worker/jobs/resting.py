"""Uploads that are left alone for a time, while newer ones of their keys are processed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from worker.jobs.schedule import Schedule
from worker.uploads.upload import Upload

#: More are forgotten: they are tried again if a listing is out of date.
_MOST_GONE = 100_000


@dataclass
class _Rest:
    """Why and how long an upload is left alone.

    Attributes:
        until: When it may be tried again.
        shown: The last listing that showed it.
        failures: How often its deletion failed, or it was not found although it was listed.
        is_leaving: Whether its deletion is under way.
    """

    until: float
    shown: int
    failures: int = 0
    is_leaving: bool = False


class Resting:
    """Uploads that are being deleted or cannot be, are empty, or are listed although they are gone.

    Args:
        schedule: The times.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._listing = 0
        self._rests: dict[Upload, _Rest] = {}
        # Hashes of uploads that ended since the last listing began, and since the one before.
        self._gone: set[int] = set()
        self._gone_before: set[int] = set()

    def begin_listing(self) -> None:
        """Expect uploads to be shown."""
        self._listing += 1
        self._gone_before, self._gone = self._gone, set()

    def show(self, upload: Upload, now: float) -> None:
        """Note that an upload is listed: it rests if it has ended, since the listing is wrong."""
        if hash(upload) in self._gone or hash(upload) in self._gone_before:
            self._gone.discard(hash(upload))
            self._gone_before.discard(hash(upload))
            self.fail(upload, now)
        if rest := self._rests.get(upload):
            rest.shown = self._listing

    def end_listing(self, running: Collection[str]) -> list[Upload]:
        """Forget what was not shown.

        Args:
            running: Keys that are being processed: their uploads are kept.

        Returns:
            What was forgotten.
        """
        forgotten = [
            upload
            for upload, rest in self._rests.items()
            if not rest.is_leaving and rest.shown < self._listing and upload.key not in running
        ]
        for upload in forgotten:
            del self._rests[upload]
        return forgotten

    def __contains__(self, upload: Upload) -> bool:
        """Return whether an upload is known, also if it may be tried again."""
        return upload in self._rests

    def is_due(self, upload: Upload, now: float) -> bool:
        """Return whether an upload may be tried."""
        rest = self._rests.get(upload)
        return rest is None or not (rest.is_leaving or rest.until > now)

    def leave(self, upload: Upload) -> None:
        """Let an upload rest until its deletion ends."""
        self._rest(upload).is_leaving = True

    def end(self, upload: Upload) -> None:
        """Note that an upload is deleted or replaced."""
        rest = self._rests.get(upload)
        if rest and rest.failures:  # if it is listed again, the pause grows
            rest.is_leaving, rest.until = False, 0
        elif rest:
            del self._rests[upload]
        if len(self._gone) < _MOST_GONE:
            self._gone.add(hash(upload))

    def fail(self, upload: Upload, now: float) -> None:
        """Let an upload rest that could not be deleted, or was not there."""
        rest = self._rest(upload)
        rest.failures += 1
        self.rest(upload, now + self._schedule.pause_after(rest.failures))

    def rest(self, upload: Upload, until: float) -> None:
        """Let an upload rest until a time."""
        rest = self._rest(upload)
        rest.until, rest.is_leaving = until, False

    def await_content(self, upload: Upload, now: float, clock: datetime) -> None:
        """Let an empty object rest that is listed for the first time, until it is old enough."""
        if upload not in self._rests:
            age = max(0.0, (clock - upload.last_modified).total_seconds())
            self.rest(upload, now + self._schedule.empty - age)

    def wake(self, upload: Upload) -> None:
        """Let an empty object rest no longer: it was replaced."""
        rest = self._rests.get(upload)
        if rest and not (rest.is_leaving or rest.failures):
            del self._rests[upload]

    def _rest(self, upload: Upload) -> _Rest:
        rest = self._rests.setdefault(upload, _Rest(0, self._listing))
        rest.shown = self._listing
        return rest
