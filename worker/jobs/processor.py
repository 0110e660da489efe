"""What the threads of a pass do: process batches, delete recorded uploads, and report outcomes."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from worker.errors import (
    DeletionRefused,
    ObjectMissing,
    PassInterrupted,
    ServiceUnavailable,
    TransformCrashed,
    UploadDeferred,
)
from worker.jobs import deleter
from worker.jobs.batch import Outcome, process_batch
from worker.jobs.context import Context
from worker.jobs.deleter import Deleted
from worker.jobs.deletion import delete_withdrawn
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.pass_state import PassState
from worker.jobs.recorded import Recorded
from worker.jobs.transform import MAX_CRASHES
from worker.jobs.work_queue import Batch
from worker.ledger.ledger import DONE, QUARANTINED
from worker.logs import lines
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

_log = logging.getLogger(__name__)


class Processor:
    """Processes batches of a scheduler; called by several threads.

    All methods raise ServiceUnavailable if the store, the database or the sandbox cannot be used,
    OSError if the disk cannot, and PassInterrupted if the pass was stopped.

    Args:
        context: What all jobs share.
        leases: Keeps the leases.
        state: Its scheduler notes how uploads ended.
    """

    def __init__(self, context: Context, leases: LeaseKeeper, state: PassState) -> None:
        self._context, self._leases, self._state = context, leases, state
        self._scheduler, self._changed, self._counts = state.scheduler, state.changed, state.counts

    def process(self, batch: Batch) -> None:
        """Process single uploads of several keys, all work for one key, or withdrawn versions."""
        try:
            first = batch.works[0]
            if not first.uploads:
                self._withdraw(batch.works)
            elif first.is_single:
                self._process_uploads(batch, batch.works)
            else:
                self._process_key(batch, first)
        except (ServiceUnavailable, OSError, PassInterrupted):
            raise
        except Exception as error:  # noqa: BLE001  a bug must not affect the other batches
            reason = f"{type(error).__name__}: {error}"
            tried = {work.versions[0]: work for work in batch.works}
            self._fail({upload: (work, reason) for upload, work in tried.items()})
        finally:
            with self._changed:
                self._scheduler.finish(batch)
                self._changed.notify_all()

    def delete(self, recorded: Sequence[Recorded]) -> None:
        """Delete recorded uploads."""
        try:
            deleted = self._delete(recorded)
            refused = self._refused(deleted.failures)
            problems = {
                upload: str(error)
                for upload, error in deleted.failures.items()
                if upload not in refused
            }
            self._context.ledger.fail(problems)
            now, ended = time.monotonic(), set(deleted.ended)
            with self._changed:
                self._scheduler.note_gone(ended)
                for upload in deleted.held:
                    self._scheduler.note_deletion_held(upload, now)
                for upload in refused:
                    self._scheduler.note_refusal(upload, now)
                for upload, problem in problems.items():
                    self._scheduler.note_deletion_failure(upload, problem, now)
                superfluous = sum(one.is_superfluous and one.upload in ended for one in recorded)
                self._counts["superfluous"] += superfluous
        finally:
            with self._changed:
                self._scheduler.finish_deletion()
                self._changed.notify_all()

    def _delete(self, recorded: Sequence[Recorded]) -> Deleted:
        try:
            return deleter.delete(self._context, self._leases, recorded)
        except (ServiceUnavailable, OSError, PassInterrupted):
            raise
        except Exception as error:  # noqa: BLE001  a bug must not affect others
            problem = UploadDeferred(f"{type(error).__name__}: {error}")
            return Deleted(failures=dict.fromkeys((one.upload for one in recorded), problem))

    def _process_key(self, batch: Batch, work: KeyUploads) -> None:
        """Delete withdrawn versions, then process uploads one by one, oldest first.

        If one fails, newer ones wait: the newest upload's result must be stored last.
        """
        if not self._withdraw([work]):
            return
        for number, upload in enumerate(work.uploads):
            if self._state.is_ending:
                return
            left = replace(work, withdrawn=[], uploads=work.uploads[number:])
            if len(left.uploads) > 1 and self._is_empty(upload):
                is_done = self._withdraw([left], [upload])
            else:
                is_done = self._process_uploads(batch, [left])
            if not is_done:
                return

    def _is_empty(self, upload: Upload) -> bool:
        """Return whether an upload is empty, as some clients create objects before they write them.

        A large object of Swift is listed with 0 bytes and is not empty (quirks.MANIFEST_IS_LISTED).
        """
        if upload.size:
            return False
        try:
            found = self._context.store.head(upload.bucket, upload.key, upload.version_id)
        except (ObjectMissing, UploadDeferred):  # the next step finds out
            return False
        return found.size == 0

    def _withdraw(self, works: Sequence[KeyUploads], replaced: Sequence[Upload] = ()) -> bool:
        """Delete uploads without a row: withdrawn ones, and empty ones that were replaced.

        Args:
            works: The remaining work for each of several keys.
            replaced: Their empty uploads that were replaced.

        Returns:
            Whether uploads of these keys can be processed. A refused deletion does not prevent it.
        """
        withdrawn = [*replaced, *(upload for work in works for upload in work.withdrawn)]
        failures = delete_withdrawn(self._context.store, withdrawn).failures
        refused = {upload.key for upload in self._refused(failures)}
        failed = {
            upload.key: (upload, str(error))
            for upload, error in failures.items()
            if upload.key not in refused
        }
        now = time.monotonic()
        with self._changed:
            for upload in withdrawn:
                # A marker must stay while a version that it covers does.
                if upload.key in refused:
                    self._scheduler.note_refusal(upload, now)
                elif upload not in failures:
                    self._scheduler.note_gone([upload])
                    self._counts["withdrawn"] += 1
        self._fail(
            {
                failed[work.key][0]: (work, failed[work.key][1])
                for work in works
                if work.key in failed
            }
        )
        return not failed

    def _process_uploads(self, batch: Batch, works: Sequence[KeyUploads]) -> bool:
        """Process the oldest upload of each key, and note how that ended.

        Args:
            batch: Their batch.
            works: The remaining work for each key.

        Returns:
            Whether newer uploads can be processed.
        """
        left = {work.uploads[0]: work for work in works}
        outcome = process_batch(self._context, self._leases, list(left), batch.crashes)
        self._report(outcome)
        suspects = dict(outcome.suspects)
        failed: dict[Upload, tuple[KeyUploads, str]] = {}
        crashed: dict[Upload, int] = {}
        for upload, error in outcome.failures.items():
            if not isinstance(error, TransformCrashed):
                failed[upload] = left[upload], str(error)
            elif batch.crashes is None:  # not counted: another file may be the cause
                suspects[upload] = 0
            else:
                number = crashed[upload] = batch.crashes.get(upload, 0) + 1
                problem = (
                    f"{upload.key!r} crashed its transform ({number} of {MAX_CRASHES}): {error}"
                )
                failed[upload] = left[upload], problem
        now = time.monotonic()
        with self._changed:
            for one in outcome.recorded:
                self._scheduler.note_recorded(one)
            searched = [one for one in outcome.missing if self._scheduler.note_missing(one, now)]
            for upload in outcome.held:
                self._scheduler.note_held(left[upload], now)
            for upload, crashes in suspects.items():
                self._scheduler.note_suspect(left[upload], now, crashes)
        self._fail(failed, crashed)
        return not (failed or outcome.held or suspects or searched)

    def _report(self, outcome: Outcome) -> None:
        with self._changed:
            self._counts.update(result.outcome for result in outcome.results)
            self._counts["missing"] += len(outcome.missing)
        for event in (DONE, QUARANTINED):
            ended = [
                {
                    "key": result.upload.key,
                    "outputs": [output.key for output in result.outputs] or None,
                    "seconds": result.seconds,
                    "reason": result.reason,
                }
                for result in outcome.results
                if result.outcome == event
            ]
            _log_each(event, ended)

    def _fail(
        self,
        failed: Mapping[Upload, tuple[KeyUploads, str]],
        crashed: Mapping[Upload, int] | None = None,
    ) -> None:
        """Let uploads wait for another attempt.

        Args:
            failed: The remaining work for each upload's key, and why the attempt failed.
            crashed: The crashes of uploads that must run alone.
        """
        problems = {upload: problem for upload, (_, problem) in failed.items()}
        _log_problems("deferred", problems)
        self._context.ledger.fail(problems)
        now = time.monotonic()
        with self._changed:
            self._counts["deferred"] += len(failed)
            for upload, (work, problem) in failed.items():
                crashes = crashed.get(upload) if crashed else None
                self._scheduler.note_failure(work, upload, problem, now, crashes)

    def _refused(self, failures: Mapping[Upload, UploadDeferred]) -> Iterable[Upload]:
        """Record which uploads the store refuses to delete, and return them."""
        refused = {
            upload: str(error)
            for upload, error in failures.items()
            if isinstance(error, DeletionRefused)
        }
        _log_problems("undeletable", refused)
        self._context.ledger.fail(refused, undeletable=True)
        return refused.keys()


def _log_problems(event: str, problems: Mapping[Upload, str]) -> None:
    _log_each(event, [{"key": one.key, "reason": problem} for one, problem in problems.items()])


def _log_each(event: str, entries: Sequence[Mapping[str, object]]) -> None:
    if entries:
        _log.info(event, extra=lines(entries))
