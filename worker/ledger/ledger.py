"""The interface of the ledger, implemented by PostgreSQL and, for tests, in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from worker.uploads.upload import Upload

DONE, QUARANTINED = "done", "quarantined"
DEFAULT_LOG_ROWS = 50


@dataclass(frozen=True)
class Result:
    """How an upload was processed: one row of the table `results`.

    Attributes:
        upload: The upload, as it was listed.
        input_sha256: In hex.
        input_bytes: The size of the input.
        outcome: DONE or QUARANTINED.
        seconds: From the start of the download to the stored output.
        output_key: Object key in the output bucket, None unless the outcome is DONE.
        output_sha256: In hex, None unless the outcome is DONE.
        output_bytes: The size of the output, None unless the outcome is DONE.
        reason: Why the upload was quarantined, None if it was not.
    """

    upload: Upload
    input_sha256: str
    input_bytes: int
    outcome: str
    seconds: float
    output_key: str | None = None
    output_sha256: str | None = None
    output_bytes: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class LogFilter:
    """Which results `log` returns: the newest `last` of those that meet all conditions.

    Attributes:
        last: The largest number of rows.
        since: Only results recorded at this time or later.
        like: Only results whose input or output key contains this text.
        quarantined: Only quarantined uploads.
    """

    last: int = DEFAULT_LOG_ROWS
    since: datetime | None = None
    like: str | None = None
    quarantined: bool = False


class Ledger(Protocol):
    """Attempts, results and heartbeats of one pipeline, as seen by one machine.

    An attempt exists from before the transform until the result is recorded. One that is found at
    the start of a pass was not ended: the worker or the transform died. Every method may be called
    from several threads and raises ServiceUnavailable if the database fails.
    """

    def unfinished_attempts(self, bucket: str) -> dict[Upload, int]:
        """Return the uploads with an attempt, and the crashes counted for each."""

    def start_attempts(self, uploads: Sequence[Upload], *, alone: bool) -> None:
        """Add an attempt per upload; one that runs alone also counts as a crash until it ends."""

    def clear_attempts(self, uploads: Sequence[Upload]) -> None:
        """Remove attempts and their crash counts."""

    def uncount_crash(self, upload: Upload) -> None:
        """Undo the crash count of the current attempt."""

    def record(self, results: Sequence[Result]) -> None:
        """Insert or update one row per upload and remove the attempts."""

    def heartbeat(self, problem: str | None) -> None:
        """Record that this machine made a pass, and what stopped it, if anything."""

    def log(self, log_filter: LogFilter) -> Iterator[dict[str, Any]]:
        """Yield results, oldest first."""

    def machines(self) -> list[dict[str, Any]]:
        """Return each machine's last pass and the problem that stopped it."""

    def totals(self) -> dict[str, Any]:
        """Return the counts of results, the rate per minute and the last error."""
