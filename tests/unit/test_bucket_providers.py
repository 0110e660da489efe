"""Claims, adoptions and contents of buckets, against real S3 servers with and without versions."""

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clients import archive as worker_archive
from clients import s3
from clients.errors import StoreError
from infra.providers.buckets import (
    BucketAdoptionProvider,
    BucketClaimProvider,
    BucketContentsProvider,
    WorkerArchiveProvider,
)
from local import object_store
from tests.eventually import eventually

CLAIM, ADOPTION, CONTENTS, ARCHIVE = (
    BucketClaimProvider(),
    BucketAdoptionProvider(),
    BucketContentsProvider(),
    WorkerArchiveProvider(),
)
#: One more than a DeleteObjects takes.
MANY = s3.BATCH + 1


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, dict[str, str]]]:
    """Kind of server -> the providers' inputs for it."""
    with tempfile.TemporaryDirectory(prefix="stores-") as name:
        found = {}
        for kind in ("moto", "rclone"):
            store = object_store.start(Path(name) / kind, kind)
            found[kind] = {
                "endpoint": store.endpoint,
                "store_region": "",
                "access_key": store.access_key,
                "secret_key": store.secret_key,
            }
        try:
            yield found
        finally:
            for kind in found:
                object_store.stop(Path(name) / kind)


@pytest.fixture(params=["moto", "rclone"])
def store(request: pytest.FixtureRequest, stores: dict[str, dict[str, str]]) -> dict[str, str]:
    return stores[request.param]


@pytest.fixture
def versioned(stores: dict[str, dict[str, str]]) -> dict[str, str]:
    return stores["moto"]


def test_free_name_is_claimed(store: dict[str, str]) -> None:
    props = {**store, "bucket": "free-name"}
    assert CLAIM.create(props).id == "free-name"
    assert s3.find(s3.client(store), "free-name") == "absent"


def test_own_bucket_is_never_claimed(store: dict[str, str]) -> None:
    client = s3.client(store)
    client.create_bucket(Bucket="existing-bucket")
    client.put_object(Bucket="existing-bucket", Key="only copy", Body=b"x")
    with pytest.raises(
        StoreError, match=r"existing-bucket exists already and is yours.*adoptBuckets"
    ):
        CLAIM.create({**store, "bucket": "existing-bucket"})
    CLAIM.delete("existing-bucket", {**store, "bucket": "existing-bucket"})
    assert client.get_object(Bucket="existing-bucket", Key="only copy")["Body"].read() == b"x"


def test_bucket_of_somebody_else_is_taken(stores: dict[str, dict[str, str]]) -> None:
    """For a wrong key rclone answers 403, as stores do for another owner's bucket."""
    wrong = {**stores["rclone"], "secret_key": "wrong", "bucket": "theirs"}
    with pytest.raises(StoreError, match=r"theirs belongs to another user.*another name"):
        CLAIM.create(wrong)


def test_unreachable_store_is_one_sentence() -> None:
    nowhere = {
        "endpoint": "http://127.0.0.1:9",
        "store_region": "",
        "access_key": "a",
        "secret_key": "b",
        "bucket": "x-1",
    }
    with pytest.raises(StoreError, match=r"cannot be queried for bucket x-1") as refusal:
        CLAIM.create(nowhere)
    assert "\n" not in str(refusal.value)


class FirstRequests(BaseHTTPRequestHandler):
    """Answers 409 a few times, as RGW while it makes the user, then 404."""

    conflicts: ClassVar[int] = 0

    def do_HEAD(self) -> None:
        type(self).conflicts -= 1
        self.send_response(409 if self.conflicts >= 0 else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def new_user_store() -> Iterator[dict[str, str]]:
    """A store that has never seen this user."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FirstRequests) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {
            "endpoint": f"http://127.0.0.1:{server.server_port}",
            "store_region": "",
            "access_key": "a",
            "secret_key": "b",
        }
        server.shutdown()


@pytest.mark.parametrize("conflicts", [1, 3])
def test_conflicts_of_a_first_request_are_retried(
    new_user_store: dict[str, str], conflicts: int
) -> None:
    FirstRequests.conflicts = conflicts
    assert CLAIM.create({**new_user_store, "bucket": "first-one"}).id == "first-one"


def test_adoption_needs_the_bucket(store: dict[str, str]) -> None:
    with pytest.raises(StoreError, match=r"to be adopted.*not found.*correct its name"):
        ADOPTION.create({**store, "bucket": "not-there", "queue": False})


def filled_with_old_versions(store: dict[str, str], bucket: str) -> Any:
    client = s3.client(store)
    client.create_bucket(Bucket=bucket)
    assert s3.keep_versions(client, bucket)
    for body in (b"1", b"2", b"3"):
        client.put_object(Bucket=bucket, Key="cat + 1%.jpg", Body=body)
    client.delete_object(Bucket=bucket, Key="cat + 1%.jpg")
    return client


def test_bucket_with_old_versions_cannot_be_the_input(versioned: dict[str, str]) -> None:
    filled_with_old_versions(versioned, "history")
    props = {**versioned, "bucket": "history"}
    with pytest.raises(StoreError, match=r"3 noncurrent versions and 1 delete markers.*lifecycle"):
        ADOPTION.create({**props, "queue": True})
    assert ADOPTION.create({**props, "queue": False}).id == "history"
    assert CONTENTS.read("history", props).id == "history"


def test_adoption_changes_nothing(store: dict[str, str]) -> None:
    client = s3.client(store)
    client.create_bucket(Bucket="adopted")
    client.put_object(Bucket="adopted", Key="a", Body=b"x")
    props = {**store, "bucket": "adopted", "queue": True}
    outs = ADOPTION.create(props).outs or {}
    ADOPTION.delete("adopted", outs)
    assert [item["Key"] for item in client.list_objects_v2(Bucket="adopted")["Contents"]] == ["a"]


def test_adoption_leaves_versions_off(versioned: dict[str, str]) -> None:
    client = s3.client(versioned)
    client.create_bucket(Bucket="plain")
    ADOPTION.create({**versioned, "bucket": "plain", "queue": True})
    assert "Status" not in client.get_bucket_versioning(Bucket="plain")


def test_versions_are_turned_on_where_there_are_some(stores: dict[str, dict[str, str]]) -> None:
    seen = {}
    for kind, store in stores.items():
        s3.client(store).create_bucket(Bucket="queue")
        props = {**store, "bucket": "queue", "versions": True}
        seen[kind] = (CONTENTS.create(props).outs or {})["versioned"]
    assert seen == {"moto": True, "rclone": False}


def test_purge_takes_versions_and_markers(versioned: dict[str, str]) -> None:
    client = filled_with_old_versions(versioned, "to-empty")
    CONTENTS.delete("to-empty", {**versioned, "bucket": "to-empty"})
    assert s3.old_versions(client, "to-empty") == (0, 0)
    client.delete_bucket(Bucket="to-empty")


def test_purge_takes_more_than_a_batch(store: dict[str, str]) -> None:
    client = s3.client(store)
    client.create_bucket(Bucket="many")
    for number in range(MANY):
        client.put_object(Bucket="many", Key=f"a/{number}", Body=b"")
    assert s3.purge(client, "many") == MANY
    client.delete_bucket(Bucket="many")


def test_purge_takes_keys_that_xml_cannot_write(stores: dict[str, dict[str, str]]) -> None:
    """Not on moto, which cannot list them either."""
    client = s3.client(stores["rclone"])
    client.create_bucket(Bucket="awkward")
    keys = ["tab\t.jpg", "bell\x07.jpg", "plain.jpg"]
    for key in keys:
        client.put_object(Bucket="awkward", Key=key, Body=b"")
    assert s3.purge(client, "awkward") == len(keys)
    client.delete_bucket(Bucket="awkward")


def test_purge_of_an_absent_bucket(store: dict[str, str]) -> None:
    assert s3.purge(s3.client(store), "lost") == 0


def test_refresh_notices_an_absent_bucket(store: dict[str, str]) -> None:
    assert CONTENTS.read("lost", {**store, "bucket": "lost"}).id == ""


def test_claim_moves_only_if_no_data_are_lost(store: dict[str, str]) -> None:
    """A guarded bucket is not left behind; a name under which nothing was made is."""
    olds = {**store, "bucket": "stays-here", "guarded": True}
    news = {**olds, "bucket": "moves-there"}
    assert CLAIM.check({}, olds).failures == []
    assert CLAIM.check(olds, news).failures == []  # the bucket could not be made
    s3.client(store).create_bucket(Bucket="stays-here")
    for provider, props in (
        (CLAIM, news),
        (ADOPTION, {**news, "queue": False, "visible": True}),
    ):
        failures = provider.check(olds, props).failures or []
        assert len(failures) == 1
        assert "would remove bucket stays-here with its data" in failures[0].reason
        assert provider.check(olds, {**props, "guarded": False}).failures == []
    adopted = {**olds, "queue": False, "visible": True}
    assert CLAIM.check(adopted, news).failures == []


def test_made_bucket_is_adopted_and_taken_back(store: dict[str, str]) -> None:
    client = s3.client(store)
    client.create_bucket(Bucket="made-here")
    claim = {**store, "bucket": "made-here", "guarded": True}  # as older versions left it
    adoption = {**claim, "queue": True, "visible": True}
    diff = ADOPTION.diff("made-here", claim, adoption)
    assert (diff.changes, diff.replaces) == (True, [])
    adopted = ADOPTION.update("made-here", claim, adoption).outs or {}
    diff = CLAIM.diff("made-here", adopted, claim)
    assert (diff.changes, diff.replaces) == (True, [])
    assert (CLAIM.update("made-here", adopted, claim).outs or {})["made"] is True


def test_bucket_adopted_as_it_was_is_never_claimed(store: dict[str, str]) -> None:
    s3.client(store).create_bucket(Bucket="not-made-here")
    claim = {**store, "bucket": "not-made-here", "guarded": True}
    adopted = ADOPTION.create({**claim, "queue": False, "visible": True}).outs or {}
    with pytest.raises(StoreError, match="exists already and is yours"):
        CLAIM.update("not-made-here", adopted, claim)


def test_made_bucket_that_swift_does_not_show_is_not_adopted(store: dict[str, str]) -> None:
    """A bucket is released by reading it over Swift: otherwise the engine would delete it."""
    claim = {**store, "bucket": "unseen", "guarded": False}
    adoption = {**claim, "queue": False, "visible": False}
    failures = ADOPTION.check(claim, adoption).failures or []
    assert ["cannot be adopted" in failure.reason for failure in failures] == [True]
    assert ADOPTION.check(adoption, adoption).failures == []


@pytest.mark.parametrize(
    ("change", "changes", "replaces"),
    [
        ({}, False, []),
        ({"endpoint": "http://the-same-by-another-name"}, True, []),
        ({"access_key": "k", "secret_key": "s"}, True, []),
    ],
)
def test_another_endpoint_or_key_replaces_nothing(
    change: dict[str, str], changes: bool, replaces: list[str]
) -> None:
    olds = {
        "endpoint": "e",
        "bucket": "a",
        "store_region": "",
        "access_key": "1",
        "secret_key": "2",
    }
    for provider in (CLAIM, ADOPTION, CONTENTS):
        diff = provider.diff("a", olds, {**olds, **change})
        assert (diff.changes, diff.replaces) == (changes, replaces)


def test_another_bucket_replaces_contents_and_updates_ownership() -> None:
    """A claim that is refused another name must still hold the one it has."""
    olds = {"endpoint": "e", "bucket": "a", "store_region": "", "access_key": "1"}
    news = {**olds, "bucket": "b"}
    assert CONTENTS.diff("a", olds, news).replaces == ["bucket"]
    for provider in (CLAIM, ADOPTION):
        diff = provider.diff("a", olds, news)
        assert (diff.changes, diff.replaces) == (True, [])


def test_bucket_that_was_left_can_be_taken_back(versioned: dict[str, str]) -> None:
    """An `up` that was cut off after the claim had moved is undone by setting the name back."""
    client = s3.client(versioned)
    client.create_bucket(Bucket="left-behind")
    first = {**versioned, "bucket": "left-behind", "guarded": False}
    second = {**first, "bucket": "went-there"}
    moved = CLAIM.update("left-behind", {**first, "made": True}, second).outs or {}
    back = CLAIM.update("left-behind", moved, first).outs or {}
    assert back["made"] is True


def test_bucket_that_somebody_made_again_is_not_taken_back(versioned: dict[str, str]) -> None:
    client = s3.client(versioned)
    client.create_bucket(Bucket="made-again")
    first = {**versioned, "bucket": "made-again", "guarded": False}
    second = {**first, "bucket": "went-elsewhere"}
    moved = CLAIM.update("made-again", {**first, "made": True}, second).outs or {}
    client.delete_bucket(Bucket="made-again")
    eventually(lambda: made_later(client, "made-again", moved["former"]["made-again"]))
    with pytest.raises(StoreError, match="exists already and is yours"):
        CLAIM.update("made-again", moved, first)


def made_later(client: Any, bucket: str, former: str) -> bool:
    """Make the bucket anew until its creation time, which has whole seconds, is another."""
    client.create_bucket(Bucket=bucket)
    if s3.creation_time(client, bucket) != former:
        return True
    client.delete_bucket(Bucket=bucket)
    return False


def test_worker_archive_is_stored_missed_and_deleted(store: dict[str, str]) -> None:
    client, archive = s3.client(store), worker_archive.describe()
    client.create_bucket(Bucket="with-worker")
    props = {
        **store,
        "bucket": "with-worker",
        "key": archive.key,
        "sha256": archive.sha256,
    }
    made = ARCHIVE.create(props)
    stored = client.get_object(Bucket="with-worker", Key=archive.key)["Body"].read()
    with worker_archive.pack(worker_archive.contents()) as packed:
        assert stored == packed.read()
    assert ARCHIVE.read(made.id, props).id == made.id
    newer = {**props, "key": "another", "sha256": "0" * 64}
    assert ARCHIVE.diff(made.id, props, newer).replaces == ["key", "sha256"]
    assert not ARCHIVE.diff(made.id, props, newer).delete_before_replace
    with pytest.raises(StoreError, match="changed meanwhile"):
        ARCHIVE.create(newer)
    ARCHIVE.delete(made.id, props)
    assert not ARCHIVE.read(made.id, props).id
    ARCHIVE.delete(made.id, props)


def test_worker_archive_follows_to_another_store(
    stores: dict[str, dict[str, str]],
) -> None:
    archive = worker_archive.describe()
    olds, news = (
        {**store, "bucket": "moved", "key": archive.key, "sha256": archive.sha256}
        for store in stores.values()
    )
    for props in (olds, news):
        s3.client(props).create_bucket(Bucket="moved")
    made = ARCHIVE.create(olds)
    assert not ARCHIVE.diff(made.id, olds, news).replaces
    assert ARCHIVE.update(made.id, olds, news).outs == news
    assert ARCHIVE.read(made.id, news).id == made.id


def test_folder_is_stored_as_it_was_planned(store: dict[str, str], tmp_path: Path) -> None:
    client, file = s3.client(store), tmp_path / "main.py"
    client.create_bucket(Bucket="with-folder")
    file.write_text("1")
    archive = worker_archive.describe(str(tmp_path))
    props = {
        **store,
        "bucket": "with-folder",
        "key": archive.key,
        "sha256": archive.sha256,
        "folder": archive.folder,
    }
    made = ARCHIVE.create(props)
    assert made.outs == props
    stored = client.get_object(Bucket="with-folder", Key=archive.key)["Body"].read()
    assert hashlib.sha256(stored).hexdigest() == archive.sha256
    # Another operator's path is the same folder.
    assert not ARCHIVE.diff(made.id, props, {**props, "folder": "/elsewhere"}).changes
    file.write_text("2")
    with pytest.raises(StoreError, match=f"The files of {tmp_path} changed meanwhile"):
        ARCHIVE.create(props)
