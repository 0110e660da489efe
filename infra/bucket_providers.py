"""Old import path of the buckets' dynamic providers.

Pulumi pickles a dynamic provider into the state by module and class name: a stack deployed before
they moved to `infra.providers.buckets` is refreshed and destroyed by what its state names.
"""

from infra.providers.buckets import (
    BucketAdoptionProvider,
    BucketClaimProvider,
    BucketContentsProvider,
    WorkerArchiveProvider,
)

__all__ = [
    "BucketAdoptionProvider",
    "BucketClaimProvider",
    "BucketContentsProvider",
    "WorkerArchiveProvider",
]
