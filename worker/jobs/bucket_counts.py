"""How many objects the buckets of a stack hold, and a warning before they are full."""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.ledger.stack_ledger import StackLedger
from worker.settings import Settings
from worker.store.store import Store

#: The most objects of a bucket in Allas (docs/csc.md).
LIMIT = 500_000
WARNED = 400_000
_REMEDIES = {
    "input": "send no more until the backlog is smaller; more machines work faster",
    "output": "move results elsewhere, or delete them",
    "quarantine": "retry or drop quarantined jobs (jobs retry, jobs drop)",
    "archive": "move kept inputs elsewhere, or delete them",
}


@dataclass(frozen=True)
class BucketCount:
    """How many objects a bucket holds.

    Attributes:
        bucket: Its name.
        kind: "input", "output", "quarantine" or "archive".
        objects: The number; versions count.
        is_estimate: Whether the store does not count: then these are the pending uploads, or the
            objects of the ledger's rows.
    """

    bucket: str
    kind: str
    objects: int
    is_estimate: bool

    @property
    def warning(self) -> str | None:
        """A sentence if it is nearly full, otherwise None."""
        if self.objects < WARNED:
            return None
        about = "about " if self.is_estimate else ""
        return (
            f"The {self.kind} bucket {self.bucket!r} holds {about}{self.objects:,} objects; "
            f"the limit of Allas is {LIMIT:,}: {_REMEDIES[self.kind]}."
        )


def bucket_counts(
    settings: Settings, ledger: StackLedger, store: Store, pending: Mapping[str, int]
) -> list[BucketCount]:
    """Count the objects of a stack's buckets, without listing them.

    Args:
        settings: The stack's.
        ledger: The stack's.
        store: The object store.
        pending: How many jobs wait or run, by pipeline.

    Returns:
        One count per bucket.
    """
    shared, pipelines = settings.store, settings.pipelines.values()
    kinds = {one.input: "input" for one in pipelines} | {one.output: "output" for one in pipelines}
    kinds |= {shared.quarantine: "quarantine"}
    kinds |= {shared.archive: "archive"} if shared.archive else {}
    counts = {bucket: store.object_count(bucket) for bucket in kinds}
    estimates = dict.fromkeys(kinds, 0)
    if None in counts.values():
        stored = ledger.stored_objects(list(settings.pipelines))
        for one in pipelines:
            row = stored[one.name]
            estimates[one.input] += pending.get(one.name, 0)
            estimates[one.output] += row["results"]
            estimates[shared.quarantine] += row["quarantined"]
            if one.keep_inputs:
                estimates[shared.archive] += row["done"]
    return [
        BucketCount(
            bucket, kinds[bucket], estimates[bucket] if count is None else count, count is None
        )
        for bucket, count in counts.items()
    ]
