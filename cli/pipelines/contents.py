"""How much the buckets of a deployed pipeline hold."""

from collections.abc import Iterator, Sequence

from cli.stacks.outputs import Outputs
from clients import s3
from worker.quantities import counted

_PAGE = 1000  # the most that one listing returns (S3 API reference)


def describe(outputs: Outputs, buckets: Sequence[str]) -> list[str]:
    """Return for each bucket that is not empty what it holds: "12 objects in bucket x".

    Versions and delete markers count. Only the first thousand are counted.

    Raises:
        StoreError: The store does not answer.
    """
    return list(_describe(outputs, buckets))


def _describe(outputs: Outputs, buckets: Sequence[str]) -> Iterator[str]:
    store = s3.client(
        {
            "endpoint": outputs.s3_endpoint,
            "store_region": "",
            "access_key": outputs.s3_access_key,
            "secret_key": outputs.s3_secret_key,
        }
    )
    for bucket in buckets:
        found = s3.list_some(store, bucket)
        if found:
            more = "at least " if len(found) >= _PAGE else ""
            yield f"{more}{counted(len(found), 'object')} in bucket {bucket}"
