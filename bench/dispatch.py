"""How many keys a second a lister can assign: the statements that it runs for each listed page."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.testbed import Testbed
from worker.dispatch.assignments import Pauses
from worker.dispatch.bundle import Bundle
from worker.dispatch.postgres_assignments import open_assignments
from worker.dispatch.queue_name import queue_name
from worker.jobs.schedule import Schedule
from worker.jobs.work_queue import BATCH_UPLOADS
from worker.ledger.postgres_ledger import open_ledger
from worker.settings import load
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

_PIPELINE, _PAGE = "negatives", 1000  # keys


@dataclass(frozen=True)
class Dispatch:
    """Keys a second, and PostgreSQL's CPU for a key in milliseconds."""

    keys: float
    database: float


def measure(testbed: Testbed, pages: int) -> Dispatch:
    """Assign pages of 1,000 keys each, in bundles as a lister makes them, and cancel the tasks."""
    settings = load(testbed.pipeline.settings, {}, ("database-password",))
    schedule, bucket = Schedule(), settings.pipelines[_PIPELINE].input
    modified = datetime.now(UTC) - timedelta(minutes=1)
    pauses = Pauses(schedule.pause_after, schedule.refused)
    seconds, cpu = 0.0, 0.0
    with (
        open_assignments(settings, _PIPELINE) as assignments,
        open_ledger(settings, _PIPELINE) as ledger,
    ):
        for page in range(pages):
            works = [
                _work(Upload(bucket, f"{number:08}.jpg", "", f"{number:032x}", modified, 1000))
                for number in range(page * _PAGE, (page + 1) * _PAGE)
            ]
            begun, used = time.monotonic(), testbed.database_cpu()
            assignments.lead()
            due = [work for work, _ in assignments.due(works, pauses)]
            bundles = [
                Bundle(due[start : start + BATCH_UPLOADS], {}, is_slow=False)
                for start in range(0, len(due), BATCH_UPLOADS)
            ]
            is_assigned = assignments.assign(bundles)
            seconds += time.monotonic() - begun
            cpu += testbed.database_cpu() - used
            if not is_assigned or len(due) != _PAGE:
                raise RuntimeError(f"{len(due)} of {_PAGE} keys were due")
            ledger.cancel_tasks(queue_name(settings.stack, _PIPELINE))
        assignments.resign()
    return Dispatch(pages * _PAGE / seconds, 1000 * cpu / (pages * _PAGE))


def _work(upload: Upload) -> KeyUploads:
    return KeyUploads(upload.key, [], [upload])
