"""Dynamic providers around the buckets: who owns a name, and what is in one when it goes.

Their shared inputs: endpoint, store_region, access_key, secret_key, bucket.
"""

from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from infra.errors import StoreError
from infra.providers import dynamic, s3
from infra.user_data import archive as worker_archive

ACCESS = ("endpoint", "store_region", "access_key", "secret_key")


class _OverS3(dynamic.Provider):
    """A thing of one bucket: another bucket is another thing, another way to it is the same thing.

    An endpoint may be spelled in many ways: were it part of what a bucket is, a slash more in the
    cloud's catalog would empty it.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return dynamic.diff(olds, news, replace=("bucket",), update=ACCESS)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**olds, **news})


class BucketClaimProvider(_OverS3):
    """Makes sure, before a bucket is made, that it is not there yet.

    Swift's create is a bare PUT: one's own existing bucket answers as if made, and would later be
    emptied and deleted. Deleting the claim does nothing.
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        bucket = props["bucket"]
        state = s3.find(s3.client(props), bucket)
        if state == "ours":
            raise StoreError(
                f"Bucket {bucket} exists already and is yours: add it to adoptBuckets to use it as"
                " it is, or choose another name."
            )
        if state == "taken":
            raise StoreError(
                f"Bucket {bucket} belongs to somebody else (names are shared by all users of the"
                " store): choose another name."
            )
        return CreateResult(bucket, props)


class BucketAdoptionProvider(_OverS3):
    """Makes sure that a bucket to be adopted is there and, if it is the input, has no old versions.

    Only when it is adopted: later, versions come and go as people upload. Further input: queue
    (whether it is the input bucket). Deleting the adoption does nothing.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return dynamic.diff(olds, news, replace=("bucket", "queue"), update=ACCESS)

    def create(self, props: dict[str, Any]) -> CreateResult:
        bucket = props["bucket"]
        store = s3.client(props)
        if s3.find(store, bucket) != "ours":
            raise StoreError(
                f"Bucket {bucket} is to be adopted, but these keys find none of that name: make it,"
                " or correct its name."
            )
        noncurrent, markers = s3.old_versions(store, bucket) if props["queue"] else (0, 0)
        if noncurrent or markers:
            raise StoreError(
                f"Bucket {bucket} cannot be the input bucket: it holds {noncurrent} noncurrent"
                f" versions and {markers} delete markers, which would count as uploads; remove them"
                " (a lifecycle rule does) or choose another bucket."
            )
        return CreateResult(bucket, props)


class BucketContentsProvider(_OverS3):
    """What a bucket of ours holds: made after the bucket and, at the end, purged before it.

    Swift's delete of a bucket that holds S3 versions never ends. Further input: versions (whether
    to turn them on); output: versioned.
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        versioned = (
            s3.keep_versions(s3.client(props), props["bucket"]) if props["versions"] else False
        )
        return CreateResult(props["bucket"], {**props, "versioned": versioned})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """A bucket that is gone takes its contents along: the next `up` turns versions on again."""
        if s3.find(s3.client(props), props["bucket"]) == "absent":
            return ReadResult("", {})
        return ReadResult(id_, props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**news, "versioned": olds["versioned"]})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        s3.purge(s3.client(props), props["bucket"])


class WorkerArchiveProvider(_OverS3):
    """The worker's package in a bucket, from where the machine fetches it.

    Further inputs: key, sha256. Another worker is another object, and the old one goes last: until
    then a machine may boot from it.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        found = dynamic.diff(olds, news, replace=("bucket", "key", "sha256"), update=ACCESS)
        return DiffResult(changes=found.changes, replaces=found.replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        archive = worker_archive.pack()
        if archive.sha256 != props["sha256"]:
            raise StoreError("The files of worker/ changed meanwhile: run the same command again.")
        s3.put(s3.client(props), props["bucket"], props["key"], archive.content)
        return CreateResult(props["key"], props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Put again: another endpoint may be another store."""
        return UpdateResult(self.create({**olds, **news}).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """One that somebody removed is put there again by the next `up`."""
        if not s3.holds(s3.client(props), props["bucket"], props["key"]):
            return ReadResult("", {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        s3.remove(s3.client(props), props["bucket"], props["key"])
