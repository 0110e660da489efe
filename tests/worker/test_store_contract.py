"""What `worker.store.store.Store` promises, checked on its twin in memory and on real servers."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.worker.conftest import KINDS
from tests.worker.pipeline import client
from worker.errors import DeletionRefused, ObjectMissing, PipelineError, ServiceUnavailable
from worker.settings import StoreSettings
from worker.store.memory_store import MemoryStore
from worker.store.s3_store import S3Store
from worker.store.store import MIN_PART_BYTES, Contents, Source, Store, hash_bytes, hash_file
from worker.uploads.listing import ListedVersion

OTHER_ETAG = "0" * 32
#: The store, and what the bucket has (see conftest.KINDS).
BUCKETS = [f"{store} {kind}" for store in ("memory", "real") for kind in KINDS]


@dataclass
class Bucket:
    """A fresh bucket on a store, with what a user does to it."""

    store: Store
    name: str
    is_versioned: bool
    checks_etag: bool
    folder: Path
    delete: Callable[[str], object]
    lock: Callable[[str], object]

    def put(self, key: str, content: bytes = b"content") -> Contents:
        contents = self.file(content)
        self.store.put(self.name, key, contents, "image/png", {"sha256": contents.sha256})
        return contents

    def file(self, content: bytes) -> Contents:
        path = self.folder / "file"
        path.write_bytes(content)
        return hash_file(path)

    def list(self) -> list[ListedVersion]:
        pages = self.store.list_pages(self.name, versions=self.is_versioned)
        return [version for page in pages for version in page.versions]

    def get(self, listed: ListedVersion) -> bytes:
        target = self.folder / "target"
        self.store.get(self.name, listed.key, listed.version_id, listed.etag, target)
        return target.read_bytes()


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    which, kind = request.param.split()
    name, versioned, checks_etag = f"contract-{secrets.token_hex(4)}", kind == "versions", True
    if which == "memory":
        checks_etag = kind != "plain"
        memory = MemoryStore(
            [name], versioned=[name] * versioned, checks_etag=checks_etag, counts_objects=True
        )
        return Bucket(
            memory,
            name,
            versioned,
            checks_etag,
            tmp_path,
            lambda key: memory.delete(name, key),
            lambda key: memory.lock(name, key),
        )
    server: ObjectStore = request.getfixturevalue(KINDS[kind])
    s3 = client(server)
    if versioned:
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    else:
        s3.create_bucket(Bucket=name)
    settings = StoreSettings(server.endpoint, "quarantine")
    store = S3Store(settings, server.access_key, server.secret_key)
    return Bucket(
        store,
        name,
        versioned,
        kind != "plain",
        tmp_path,
        lambda key: s3.delete_object(Bucket=name, Key=key),
        lambda key: s3.put_object_legal_hold(Bucket=name, Key=key, LegalHold={"Status": "ON"}),
    )


def test_a_missing_bucket_is_reported(bucket: Bucket) -> None:
    bucket.store.check_bucket(bucket.name)
    with pytest.raises(ServiceUnavailable, match=r"'nobody-s-bucket' .*does not exist"):
        bucket.store.check_bucket("nobody-s-bucket")


def test_versioning_is_reported(bucket: Bucket) -> None:
    assert bucket.store.is_versioned(bucket.name) == bucket.is_versioned


def test_objects_are_counted_if_the_store_does(bucket: Bucket) -> None:
    for key, content in (("a", b"first"), ("a", b"second"), ("b", b"third")):
        bucket.put(key, content)
    bucket.delete("b")
    kept = [one for one in bucket.list() if not one.is_marker]
    assert bucket.store.object_count(bucket.name) in (len(kept), None)
    assert bucket.store.object_count("nobody-s-bucket") is None


def test_an_empty_bucket_lists_nothing(bucket: Bucket) -> None:
    assert bucket.list() == []


def test_a_stored_file_is_listed_and_read(bucket: Bucket) -> None:
    start = datetime.now(UTC) - timedelta(seconds=2)
    contents = bucket.put("a/naïve 猫+%.png", b"some bytes")
    (listed,) = bucket.list()
    assert (listed.key, listed.size, listed.etag) == (
        "a/naïve 猫+%.png",
        10,
        contents.md5.hex(),
    )
    assert bool(listed.version_id) == bucket.is_versioned
    assert listed.is_latest
    assert not listed.is_marker
    assert start <= listed.last_modified <= datetime.now(UTC) + timedelta(seconds=2)
    target = bucket.folder / "target"
    info, sha256 = bucket.store.get(bucket.name, listed.key, listed.version_id, listed.etag, target)
    assert (info.etag, info.size) == (listed.etag, 10)
    assert sha256 == hashlib.sha256(b"some bytes").hexdigest()
    assert bucket.store.head(bucket.name, listed.key, listed.version_id).is_same_put(info)


def test_small_objects_are_read_into_memory(bucket: Bucket) -> None:
    bucket.put("x", b"some bytes")
    (listed,) = bucket.list()
    where = (bucket.name, "x", listed.version_id, listed.etag)
    info, sha256, content = bucket.store.read(*where, 10)
    assert (content, info.size) == (b"some bytes", 10)
    assert sha256 == hashlib.sha256(b"some bytes").hexdigest()
    info, _, content = bucket.store.read(*where, 4)  # it was listed as a smaller one
    assert (content, info.size) == (b"some", 10)


def test_pages_come_in_the_order_of_keys(bucket: Bucket) -> None:
    for key in ("b", "a/2", "a/10", "c"):
        bucket.put(key)
    assert [one.key for one in bucket.list()] == ["a/10", "a/2", "b", "c"]


def test_a_listing_may_be_limited_to_a_prefix(bucket: Bucket) -> None:
    for key in ("a/x 猫", "a/x 猫.png", "a/y", "b"):
        bucket.put(key)
    pages = bucket.store.list_pages(bucket.name, versions=bucket.is_versioned, prefix="a/x 猫")
    assert [one.key for page in pages for one in page.versions] == ["a/x 猫", "a/x 猫.png"]


def test_a_second_put_replaces_or_adds_a_version(bucket: Bucket) -> None:
    bucket.put("x", b"older")
    bucket.put("x", b"newer")
    listed = bucket.list()
    assert [bucket.get(one) for one in listed] == (
        [b"newer", b"older"] if bucket.is_versioned else [b"newer"]
    )
    assert [one.is_latest for one in listed] == [True, False][: len(listed)]


def test_a_missing_object_is_reported(bucket: Bucket) -> None:
    with pytest.raises(ObjectMissing):
        bucket.store.head(bucket.name, "x")
    with pytest.raises(ObjectMissing):
        bucket.store.get(bucket.name, "x", "", OTHER_ETAG, bucket.folder / "target")


def test_a_changed_object_is_not_read_where_the_store_checks(bucket: Bucket) -> None:
    bucket.put("x", b"newer")
    target = bucket.folder / "target"
    if bucket.checks_etag:
        with pytest.raises(ObjectMissing):
            bucket.store.get(bucket.name, "x", "", OTHER_ETAG, target)
    else:
        info, _ = bucket.store.get(bucket.name, "x", "", OTHER_ETAG, target)
        assert info.etag == hashlib.md5(b"newer", usedforsecurity=False).hexdigest()


def test_a_put_returns_the_version_that_is_listed(bucket: Bucket) -> None:
    stored = bucket.store.put(bucket.name, "x", bucket.file(b"1"), "text/plain", {})
    (listed,) = bucket.list()
    assert stored == (listed.version_id, listed.etag, False)
    assert bool(stored.version_id) == bucket.is_versioned


def test_the_md5_may_be_left_out(bucket: Bucket) -> None:
    bucket.store.put(
        bucket.name, "a", hash_bytes(b"some bytes")._replace(md5=b""), "image/png", {"a": "b"}
    )
    (listed,) = bucket.list()
    assert (listed.size, bucket.get(listed)) == (10, b"some bytes")


def test_bytes_are_stored_without_a_file(bucket: Bucket) -> None:
    contents = hash_bytes(b"some bytes")
    stored = bucket.store.put(bucket.name, "x", contents, "text/plain", {})
    (listed,) = bucket.list()
    assert (listed.version_id, listed.etag) == stored[:2]
    assert listed.size == len(b"some bytes")
    assert bucket.get(listed) == b"some bytes"
    assert contents == bucket.file(b"some bytes")._replace(body=b"some bytes")


def test_metadata_is_returned(bucket: Bucket) -> None:
    metadata = {"run": "1", "input-sha256": "ab"}
    bucket.store.put(bucket.name, "x", bucket.file(b"1"), "text/plain", metadata)
    (listed,) = bucket.list()
    target = bucket.folder / "target"
    info, _ = bucket.store.get(bucket.name, "x", listed.version_id, listed.etag, target)
    for found in (info, bucket.store.head(bucket.name, "x", listed.version_id)):
        assert {name: found.metadata.get(name) for name in metadata} == metadata
        assert found.content_type == "text/plain"


def test_a_copy_has_its_own_metadata(bucket: Bucket) -> None:
    key, copied = "a/naïve 猫+%.png", "b/naïve 猫 &.png"
    etag = bucket.put(key, b"older").md5.hex()
    (older,) = bucket.list()
    source = Source(bucket.name, key, older.version_id, etag)
    if bucket.is_versioned:
        bucket.put(key, b"newer")  # the older one is copied nevertheless
    bucket.store.copy(source, bucket.name, copied, "text/plain", {"run": "1"})
    found = next(one for one in bucket.list() if one.key == copied)
    assert bucket.get(found) == b"older"
    metadata = bucket.store.head(bucket.name, copied).metadata
    assert metadata["run"] == "1"
    if bucket.checks_etag:  # quirks.COPY_KEEPS_METADATA
        assert "sha256" not in metadata
    assert len(bucket.list()) == 2 + bucket.is_versioned


def test_a_copy_of_what_is_missing_or_changed_is_refused(bucket: Bucket) -> None:
    bucket.put("x", b"newer")
    for key, etag in (("x", OTHER_ETAG), ("y", OTHER_ETAG)):
        source = Source(bucket.name, key, "", etag)
        with pytest.raises(ObjectMissing):
            bucket.store.copy(source, bucket.name, "z", "text/plain", {})
    assert [one.key for one in bucket.list()] == ["x"]
    source = Source(bucket.name, "x", "", bucket.list()[0].etag)
    with pytest.raises(ServiceUnavailable):
        bucket.store.copy(source, "nobody-s-bucket", "z", "text/plain", {})


@pytest.mark.parametrize("bucket", [one for one in BUCKETS if "versions" not in one], indirect=True)
def test_conditional_deletion(bucket: Bucket) -> None:
    etag = bucket.put("x").md5.hex()
    if bucket.checks_etag:
        with pytest.raises(ObjectMissing):
            bucket.store.delete_if_unchanged(bucket.name, "x", "", OTHER_ETAG)
        assert len(bucket.list()) == 1
    bucket.store.delete_if_unchanged(bucket.name, "x", "", etag)
    assert bucket.list() == []


@pytest.mark.parametrize("bucket", [one for one in BUCKETS if "versions" in one], indirect=True)
def test_versions_are_deleted_for_good(bucket: Bucket) -> None:
    for content in (b"1", b"2", b"3"):
        bucket.put("x", content)
    bucket.put("tab\t", b"4")
    bucket.delete("x")
    marker = next(one for one in bucket.list() if one.is_marker)
    assert (marker.key, marker.is_latest) == ("x", True)
    with pytest.raises(ObjectMissing):
        bucket.store.head(bucket.name, "x")
    with pytest.raises(ObjectMissing):
        bucket.store.head(bucket.name, "x", marker.version_id)
    versions = [(one.key, one.version_id) for one in bucket.list()]
    kept = next(one for one in bucket.list() if one.key == "x" and not one.is_marker)
    doomed = [one for one in versions if one != ("x", kept.version_id)]
    assert bucket.store.delete_versions(bucket.name, doomed) == {}
    assert [(one.key, one.version_id) for one in bucket.list()] == [("x", kept.version_id)]
    assert bucket.get(kept) == b"3"
    assert bucket.store.delete_versions(bucket.name, doomed) == {}  # again


@pytest.mark.parametrize("bucket", [one for one in BUCKETS if "versions" in one], indirect=True)
@pytest.mark.parametrize("keys", [["x"], ["x", "y"], ["x", "tab\t"]])
def test_a_locked_version_is_refused(bucket: Bucket, keys: list[str]) -> None:
    """Object Lock: it and no other stays, also if it is the only one of its request."""
    for key in keys:
        bucket.put(key)
    bucket.lock("x")
    versions = {(one.key, one.version_id): one.key for one in bucket.list()}
    failures = bucket.store.delete_versions(bucket.name, list(versions))
    assert [(versions[one], type(error)) for one, error in failures.items()] == [
        ("x", DeletionRefused)
    ]
    assert [one.key for one in bucket.list()] == ["x"]


def test_an_object_is_hashed_without_a_file(bucket: Bucket) -> None:
    etag = bucket.put("x", b"some bytes").md5.hex()
    (listed,) = bucket.list()
    info, sha256 = bucket.store.hash(bucket.name, "x", listed.version_id, etag)
    assert (info.size, info.etag) == (10, etag)
    assert sha256 == hashlib.sha256(b"some bytes").hexdigest()
    with pytest.raises(ObjectMissing):
        bucket.store.hash(bucket.name, "y", "", OTHER_ETAG)


def test_an_object_is_read_in_pieces(bucket: Bucket) -> None:
    content = secrets.token_bytes(1_000_000)
    bucket.put("a.bin", content)
    (listed,) = bucket.list()
    for _ in range(2):
        with bucket.store.open(bucket.name, "a.bin", listed.version_id) as (info, pieces):
            assert (info.size, info.etag) == (len(content), listed.etag)
            next(pieces)  # the rest is left unread, and disturbs no later request
    with bucket.store.open(bucket.name, "a.bin") as (_, pieces):
        assert b"".join(pieces) == content
    with pytest.raises(ObjectMissing), bucket.store.open(bucket.name, "none"):
        pass


def test_much_metadata_is_returned(bucket: Bucket) -> None:
    """HTTP clients refuse a response of more than 100 headers, Python's own among them."""
    metadata = {f"n{number:02}": "x" for number in range(95 if not bucket.checks_etag else 80)}
    bucket.store.put(bucket.name, "x", bucket.file(b"1"), "text/plain", metadata)
    (listed,) = bucket.list()
    found = bucket.store.head(bucket.name, "x", listed.version_id).metadata
    assert {name: found.get(name) for name in metadata} == metadata


PARTS = (b"a" * MIN_PART_BYTES, b"b" * MIN_PART_BYTES, b"end")


def test_an_object_is_stored_in_parts(bucket: Bucket) -> None:
    """It is in the bucket only when it is completed."""
    key, metadata = "a/naïve 猫+%.png", {"upload": "u1"}
    upload = bucket.store.put_parts(bucket.name, key, "image/png", metadata)
    for part in PARTS:
        upload.add(part)
        assert bucket.list() == []
    stored = upload.complete()
    (listed,) = bucket.list()
    assert (listed.key, listed.version_id) == (key, stored.version_id)
    if bucket.checks_etag:  # quirks.ETAG_OF_PARTS_DIFFERS
        assert listed.etag == stored.etag
    assert bucket.get(listed) == b"".join(PARTS)
    found = bucket.store.head(bucket.name, key, listed.version_id)
    assert (found.size, found.content_type) == (2 * MIN_PART_BYTES + 3, "image/png")
    assert found.metadata["upload"] == "u1"


def test_a_single_part_may_be_small(bucket: Bucket) -> None:
    upload = bucket.store.put_parts(bucket.name, "x", "image/png", {})
    upload.add(b"small")
    upload.complete()
    assert [bucket.get(one) for one in bucket.list()] == [b"small"]


def test_an_aborted_upload_leaves_nothing(bucket: Bucket) -> None:
    upload = bucket.store.put_parts(bucket.name, "x", "image/png", {})
    upload.add(PARTS[0])
    upload.abort()
    assert bucket.list() == []


def test_parts_that_another_process_left_are_aborted(bucket: Bucket) -> None:
    upload = bucket.store.put_parts(bucket.name, "a/naïve 猫+%.png", "image/png", {})
    upload.add(PARTS[0])
    for _ in range(2):
        bucket.store.abort_parts(bucket.name, "a/naïve 猫+%.png", upload.id)
    with pytest.raises(PipelineError):
        upload.complete()
    assert bucket.list() == []


def test_parts_need_a_bucket(bucket: Bucket) -> None:
    with pytest.raises(ServiceUnavailable, match=r"'nobody-s-bucket' .*does not exist"):
        bucket.store.put_parts("nobody-s-bucket", "x", "image/png", {})
