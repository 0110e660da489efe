"""Dynamic providers around the buckets: who owns a name, and what is in one when it goes.

Their shared inputs: endpoint, store_region, access_key, secret_key, bucket.
"""

from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    UpdateResult,
)

from infra.errors import StoreError
from infra.providers import dynamic, s3
from infra.user_data import archive as worker_archive

ACCESS = ("endpoint", "store_region", "access_key", "secret_key")


class BucketProvider(dynamic.Provider):
    """A resource about one bucket: another bucket replaces it, another way to it does not.

    An endpoint may be spelled in many ways: were it part of what a bucket is, a slash more in the
    cloud's catalog would empty it.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another bucket, update for another endpoint or key."""
        return dynamic.diff(olds, news, replace=("bucket",), update=ACCESS)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over the new endpoint and keys."""
        return UpdateResult({**olds, **news})


class BucketOwnershipProvider(BucketProvider):
    """Whose a bucket is: made by this stack (a claim), or adopted by it.

    Claim and adoption of a role are one resource for the engine (aliases), and every change is made
    in place, so that a bucket which this stack made can always be taken back. Deleting either does
    nothing. Further input: guarded (whether data are protected). Outputs: made (whether this stack
    made the bucket), former (buckets that it made before and left, with their creation time).
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse what would remove a guarded bucket, before anything has changed."""
        failures = []
        if olds and _is_claim(olds) and news.get("guarded") and _moves(olds, news):
            failures.append(
                CheckFailure(
                    "bucket",
                    f"{olds['bucket']} -> {news['bucket']} would remove bucket {olds['bucket']}"
                    " with its data: set its name back, or copy the data, set protectData to"
                    " false, and go up.",
                )
            )
        return CheckResult(news, failures)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Never replace: `update` must know what was there before."""
        names = ("bucket", "queue", *ACCESS)  # only an adoption has a queue
        return DiffResult(changes=bool(dynamic.differing(olds, news, names)), replaces=[])


class BucketClaimProvider(BucketOwnershipProvider):
    """Makes sure, before a bucket is made, that it is not there yet.

    Swift's create is a bare PUT: one's own existing bucket answers as if made, and would later be
    emptied and deleted.
    """

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Claim a free name; raises StoreError for one that exists."""
        _refuse_existing(props)
        return CreateResult(props["bucket"], {**props, "made": True, "former": {}})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take back a bucket that this stack made; raises StoreError for any other that exists."""
        if not _is_own(olds, news):
            _refuse_existing(news)
        return UpdateResult({**news, "made": True, "former": _former(olds, news)})


class BucketAdoptionProvider(BucketOwnershipProvider):
    """Makes sure that a bucket to be adopted is there and, if it is the input, has no old versions.

    Only when it is adopted: later, versions come and go as people upload. Further inputs: queue
    (whether it is the input bucket), visible (whether the cloud shows it as the project's own).
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse to let go of a bucket that the program could not keep."""
        result = super().check(olds, news)
        same = olds.get("bucket") == news["bucket"]
        if same and _is_claim(olds) and not news.get("visible"):
            result.failures = [
                *(result.failures or ()),
                CheckFailure(
                    "bucket",
                    f"{news['bucket']} was made by this stack, but its cloud does not show it now,"
                    " so it cannot be adopted: run the same command again later.",
                ),
            ]
        return result

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Adopt a bucket; raises StoreError for one that is absent or has old versions."""
        self._refuse_unusable(props)
        return CreateResult(props["bucket"], {**props, "made": False, "former": {}})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Adopt another bucket, or what this stack made: the queue before, versions and all."""
        made = _is_own(olds, news)
        if made:
            _existing(news)
        elif olds["bucket"] != news["bucket"] or olds.get("queue") != news["queue"]:
            self._refuse_unusable(news)
        return UpdateResult({**news, "made": made, "former": _former(olds, news)})

    def _refuse_unusable(self, props: dict[str, Any]) -> None:
        store = _existing(props)
        bucket = props["bucket"]
        noncurrent, markers = s3.old_versions(store, bucket) if props["queue"] else (0, 0)
        if noncurrent or markers:
            raise StoreError(
                f"Bucket {bucket} cannot be the input bucket: it holds {noncurrent} noncurrent"
                f" versions and {markers} delete markers, which would count as uploads; remove them"
                " (a lifecycle rule does) or choose another bucket."
            )


class BucketContentsProvider(BucketProvider):
    """What a bucket of ours holds: made after the bucket and, at the end, purged before it.

    Swift's delete of a bucket that holds S3 versions never ends. Further input: versions (whether
    to turn them on); output: versioned.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Purge the old bucket last, when no machine writes to it any more."""
        found = super().diff(_id, olds, news)
        return DiffResult(changes=found.changes, replaces=found.replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Turn versions on where they are wanted and the store has them."""
        versioned = (
            s3.keep_versions(s3.client(props), props["bucket"]) if props["versions"] else False
        )
        return CreateResult(props["bucket"], {**props, "versioned": versioned})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """A bucket that is gone takes its contents along: the next `up` turns versions on again."""
        keys_are_known = props.get("access_key") and props.get("secret_key")  # not at every preview
        if keys_are_known and s3.find(s3.client(props), props["bucket"]) == "absent":
            return ReadResult("", {})
        return ReadResult(id_, props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over the new endpoint and keys."""
        return UpdateResult({**news, "versioned": olds["versioned"]})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove every object, version and delete marker."""
        s3.purge(s3.client(props), props["bucket"])


class WorkerArchiveProvider(BucketProvider):
    """The worker's package in a bucket, from where the machine fetches it.

    Further inputs: key, sha256. Another worker is another object, and the old one goes last: until
    then a machine may boot from it.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another worker."""
        found = dynamic.diff(olds, news, replace=("bucket", "key", "sha256"), update=ACCESS)
        return DiffResult(changes=found.changes, replaces=found.replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Store the archive; raises StoreError where it is not the one that was planned."""
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
        """Remove the archive."""
        s3.remove(s3.client(props), props["bucket"], props["key"])


def _is_claim(props: dict[str, Any]) -> bool:
    """Whether `props` are a claim's: `queue` is an adoption's input."""
    return "queue" not in props


def _was_made(olds: dict[str, Any]) -> bool:
    """Whether this stack made the bucket; states of older versions have claims without `made`."""
    return bool(olds.get("made", _is_claim(olds)))


def _is_own(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether this stack made the bucket of `news`: the same as before, or one that it left.

    A bucket that was left and made again by somebody has another creation time.
    """
    bucket = news["bucket"]
    if olds["bucket"] == bucket:
        return _was_made(olds)
    left = (olds.get("former") or {}).get(bucket)
    return left is not None and left == s3.creation_time(s3.client(news), bucket)


def _former(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, str]:
    """Name -> creation time of the buckets that this stack made and left."""
    former = dict(olds.get("former") or {})
    former.pop(news["bucket"], None)
    if olds["bucket"] != news["bucket"] and _was_made(olds):
        created = s3.creation_time(s3.client(news), olds["bucket"])
        former |= {olds["bucket"]: created} if created else {}
    return former


def _moves(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another bucket takes the place of one that is there.

    A claim may be all there is: its bucket could not be made, or its `up` was refused.
    """
    if olds["bucket"] == news["bucket"]:
        return False
    return s3.find(s3.client(olds), olds["bucket"]) != "absent"


def _refuse_existing(props: dict[str, Any]) -> None:
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


def _existing(props: dict[str, Any]) -> Any:
    """A client of the store that has the bucket; raises StoreError where these keys find none."""
    store = s3.client(props)
    if s3.find(store, props["bucket"]) != "ours":
        raise StoreError(
            f"Bucket {props['bucket']} is to be adopted, but these keys find none of that name:"
            " make it, or correct its name."
        )
    return store
