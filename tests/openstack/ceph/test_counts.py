"""How many objects a bucket holds, on Ceph, which says so."""

from tests.worker.test_store_contract import (
    Bucket,
    bucket,
    test_objects_are_counted_if_the_store_does,
)

__all__ = ["bucket", "test_objects_are_counted_if_the_store_does"]


def test_ceph_counts(bucket: Bucket) -> None:
    assert bucket.store.object_count(bucket.name) == 0
    bucket.put("a")
    bucket.put("b")
    assert bucket.store.object_count(bucket.name) == 2
    (listed, _) = bucket.list()
    bucket.store.delete_versions(bucket.name, [(listed.key, listed.version_id)])
    assert bucket.store.object_count(bucket.name) == 1
