"""What will soon keep a stack from working."""

from collections.abc import Iterable
from typing import Any

from worker.dispatch.connections import connection_warning
from worker.jobs.bucket_counts import BucketCount
from worker.ledger.ledger import LIVE_SECONDS
from worker.ledger.stack_ledger import StackLedger
from worker.settings import Settings


def stack_warnings(
    settings: Settings,
    ledger: StackLedger,
    heartbeats: Iterable[dict[str, Any]],
    buckets: Iterable[BucketCount],
) -> list[str]:
    """Return a sentence for each bucket that is nearly full, and if connections are too few.

    Args:
        settings: The stack's.
        ledger: The stack's.
        heartbeats: Rows of `StackLedger.machines`.
        buckets: The counts of its buckets.
    """
    live = {
        row["machine"] for row in heartbeats if row["live"] and row["seconds_ago"] <= LIVE_SECONDS
    }
    limit, pipelines = ledger.connection_limit(), len(settings.pipelines)
    found = [one.warning for one in buckets]
    found.append(connection_warning(limit, len(live), pipelines))
    return [one for one in found if one]
