"""Old import path of the buckets' providers: deployed states pickle them by module and class."""

from infra.providers.buckets import (  # noqa: F401
    BucketAdoptionProvider,
    BucketClaimProvider,
    BucketContentsProvider,
    WorkerArchiveProvider,
)
