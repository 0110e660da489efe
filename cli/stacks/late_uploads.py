"""Uploads that came after their bucket was emptied, and before it was removed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.providers import s3

#: Type of a bucket -> the output that has its name.
_BUCKETS = {
    "openstack:objectstorage/container:Container": "name",
    "aws:s3/bucket:Bucket": "bucket",
}
_CONTENTS = "pulumi-python:dynamic:BucketContents"


def waiting_to_be_removed(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """The state's buckets that nothing will empty: their BucketContents are gone already."""
    kept, names = set(), []
    for each in resources:
        kind, outputs = each["type"], each.get("outputs", {})
        if kind == _CONTENTS:
            kept.add(outputs.get("bucket"))
        elif kind in _BUCKETS:
            names.append(str(outputs.get(_BUCKETS[kind])))
    return [name for name in names if name not in kept]


def purge(buckets: Sequence[str], outputs: Mapping[str, Any]) -> Iterator[str]:
    """Empty them; yields those that held something. Raises StoreError."""
    if not buckets or "s3SecretKey" not in outputs:  # an `up` that got not so far: nobody has keys
        return
    store = s3.client(
        {
            "endpoint": outputs["s3Endpoint"],
            "store_region": "",
            "access_key": outputs["s3AccessKey"],
            "secret_key": outputs["s3SecretKey"],
        }
    )
    for bucket in buckets:
        if s3.purge(store, bucket):
            yield bucket
