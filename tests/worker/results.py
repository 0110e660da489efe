"""Results as a worker records them, for tests of ledgers and reports."""

from dataclasses import replace

from worker.ledger.ledger import DONE, QUARANTINED, Lease, Ledger, Maker, Output, Result
from worker.uploads.job import first_job
from worker.uploads.upload import Upload

PIPELINE = "negatives"


def done(upload: Upload, pipeline: str = PIPELINE, **changes: object) -> Result:
    """Return the result of an upload that was transformed."""
    output = Output(1, "output", f"negated_{upload.key}", "", "e", "b" * 64, 8, "image/png")
    result = Result(
        first_job(pipeline, upload), 0, Maker("negate"), "a" * 64, 7, DONE, 0.5, outputs=[output]
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def quarantined(upload: Upload, reason: str = "bad", **changes: object) -> Result:
    """Return the result of an upload that could not be transformed."""
    job = first_job(PIPELINE, upload)
    result = Result(job, 0, Maker("negate"), "a" * 64, 7, QUARANTINED, reason=reason)
    return replace(result, **changes)  # type: ignore[arg-type]


def start(ledger: Ledger, *results: Result, alone: bool = False) -> list[Result]:
    """Start the jobs of results, and return the results under the leases that they got."""
    started = ledger.start([result.job for result in results], alone=alone)
    return [replace(result, fence=started[result.job.id].fence) for result in results]


def record(ledger: Ledger, *results: Result) -> None:
    """Start jobs, record their results, and release the leases."""
    held = start(ledger, *results)
    assert ledger.record(held) == {result.job.id for result in results}
    ledger.release([Lease(result.upload.key, result.fence) for result in held])
