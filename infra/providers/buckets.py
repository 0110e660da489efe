"""Dynamic providers of the buckets: who owns a name, what is purged, and what machines download.

Their shared inputs: endpoint, store_region, access_key, secret_key, bucket.
"""

import json
from typing import Any

from pulumi import dynamic as engine

from clients import archive, s3
from clients.errors import StoreError
from infra.names import FIRST_PIPELINE
from infra.providers import dynamic

#: Stands for a pipeline in the archive's contents: the key that asks for it, and no valid name.
KEPT_INPUTS = "keepInputs"
# An endpoint can be spelled in several ways: if it identified a bucket, a further slash in the
# cloud's catalog would empty it.
ACCESS = ("endpoint", "store_region", "access_key", "secret_key")


class BucketOwnershipProvider(dynamic.Provider):
    """Ownership of a bucket: made by this stack (a claim), or adopted. Deleting does nothing.

    Claim and adoption of a role are one resource for the engine (aliases) and change in place, so
    that a bucket which this stack made can be taken back. Further input: guarded (whether data are
    protected). Outputs: made (whether this stack made the bucket), former (buckets that it made
    and left, with their creation times).
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> engine.CheckResult:
        """Refuse what would delete a guarded bucket, before anything has changed."""
        if not (olds and _is_claim(olds) and news.get("guarded") and _moves(olds, news)):
            return engine.CheckResult(news, [])
        reason = (
            f"{olds['bucket']} -> {news['bucket']} would remove bucket {olds['bucket']} with its"
            " data: set its name back, or copy the data, set protectData to false, and run `up`."
        )
        return engine.CheckResult(news, [engine.CheckFailure("bucket", reason)])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Never replace: `update` must know what was there before."""
        names = ("bucket", "queue", *ACCESS)  # only an adoption has a queue
        return engine.DiffResult(changes=bool(dynamic.differing(olds, news, names)), replaces=[])


class BucketClaimProvider(BucketOwnershipProvider):
    """Checks that a bucket does not exist before it is created.

    Swift creates a container by a plain PUT, which also succeeds for an existing one of the same
    owner: that one would later be emptied and deleted.
    """

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Claim a free name; StoreError for one that exists."""
        s3.require_free(s3.client(props), props["bucket"])
        return engine.CreateResult(props["bucket"], {**props, "made": True, "former": {}})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Take back a bucket that this stack made; StoreError for any other that exists."""
        if not _is_own(olds, news):
            s3.require_free(s3.client(news), news["bucket"])
        return engine.UpdateResult({**news, "made": True, "former": _former(olds, news)})


class BucketAdoptionProvider(BucketOwnershipProvider):
    """Checks that a bucket to be adopted exists and, if it is the input, has no old versions.

    It is checked only when it is adopted: later, uploads make and remove versions. Further inputs:
    queue (whether it is the input bucket), visible (whether Swift shows it to the project).
    """

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> engine.CheckResult:
        """Refuse to release a bucket that the program could not keep."""
        if olds.get("bucket") == news["bucket"] and _is_claim(olds) and not news.get("visible"):
            reason = (
                f"{news['bucket']} was made by this stack, but its cloud does not show it over"
                " Swift, so it cannot be adopted: remove it from adoptBuckets."
            )
            return engine.CheckResult(news, [engine.CheckFailure("bucket", reason)])
        return super().check(olds, news)

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Adopt a bucket; StoreError for one that is absent or has old versions."""
        self._refuse_unusable(props)
        return engine.CreateResult(props["bucket"], {**props, "made": False, "former": {}})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Adopt another bucket, or what this stack made: the queue before, versions and all."""
        made = _is_own(olds, news)
        if made:
            s3.require_own(s3.client(news), news["bucket"])
        elif olds["bucket"] != news["bucket"] or olds.get("queue") != news["queue"]:
            self._refuse_unusable(news)
        return engine.UpdateResult({**news, "made": made, "former": _former(olds, news)})

    def _refuse_unusable(self, props: dict[str, Any]) -> None:
        store, bucket = s3.client(props), props["bucket"]
        s3.require_own(store, bucket)
        if props["queue"]:
            s3.require_no_old_versions(store, bucket)


class BucketContentsProvider(dynamic.Provider):
    """The contents of a bucket of this stack: created after the bucket, purged before its deletion.

    The provider's delete of a bucket that holds S3 versions never ends. Further input: versions
    (whether to turn them on), pipeline ("" for a bucket of all, KEPT_INPUTS for the archive);
    output: versioned.
    """

    config: engine.Config | None = None  # of the stack, in the provider's process

    def configure(self, req: engine.ConfigureRequest) -> None:
        """Keep the stack's configuration, which says which pipelines it has."""
        super().configure(req)
        self.config = req.config

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Purge a bucket that was left last, when no machine writes to it any more."""
        update = (*ACCESS, "pipeline", "versions")
        return dynamic.diff(olds, news, replace=("bucket",), update=update, delete_first=False)

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Turn versions on where they are wanted and the store has them."""
        versioned = props["versions"] and s3.keep_versions(s3.client(props), props["bucket"])
        return engine.CreateResult(props["bucket"], {**props, "versioned": versioned})

    def read(self, id_: str, props: dict[str, Any]) -> engine.ReadResult:
        """Report contents of an absent bucket as gone: the next `up` turns versions on again."""
        keys_are_known = props.get("access_key") and props.get("secret_key")  # not at every preview
        if keys_are_known and s3.find(s3.client(props), props["bucket"]) == "absent":
            return engine.ReadResult("", {})
        return engine.ReadResult(id_, props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Take over the new endpoint and keys; turn versions on if they are wanted now."""
        versioned = olds["versioned"]
        if news["versions"] and not versioned:
            versioned = s3.keep_versions(s3.client(news), news["bucket"])
        return engine.UpdateResult({**news, "versioned": versioned})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete all objects and versions; StoreError if the settings have no use for them now."""
        store, bucket = s3.client(props), props["bucket"]
        # States of older versions have no pipeline: the stack had one.
        pipeline = props.get("pipeline", FIRST_PIPELINE)
        if not pipeline or self._may_purge(pipeline):
            s3.purge(store, bucket)
        elif found := s3.list_some(store, bucket):
            reason, remedy = (
                f"its pipeline {pipeline} is no longer in the settings",
                f"add it back, or run `./pipeline pipelines delete {pipeline} --data` and `up`",
            )
            if pipeline == KEPT_INPUTS:
                reason, remedy = "no pipeline keeps inputs now", "set keepInputs again, or empty it"
            objects = f"{len(found)} object{'s' * (len(found) > 1)} or more"
            raise StoreError(f"Bucket {bucket} holds data ({objects}), and {reason}: {remedy}.")

    def _may_purge(self, pipeline: str) -> bool:
        """Whether the stack still has the pipeline, or its data were given up."""
        entries = self._setting("pipelines", dict) or {FIRST_PIPELINE: {}}
        if pipeline == KEPT_INPUTS:
            return any(str(each.get(KEPT_INPUTS)).lower() == "true" for each in entries.values())
        return pipeline in entries or pipeline in self._setting("deletePipelineData", list)

    def _setting(self, name: str, kind: type) -> Any:
        """Return a structured setting; an empty one if it is not what it should be."""
        try:
            value = json.loads((self.config and self.config.get(name)) or "null")
        except ValueError:
            value = None
        return value if isinstance(value, kind) else kind()


class WorkerArchiveProvider(dynamic.Provider):
    """The worker's package, or a user's folder, from where the machine downloads it.

    Further inputs: key, sha256, folder (as the settings have it, absent for the worker). Other
    contents are another object, and the old one is deleted last: a machine may boot from it until
    then. The contents are not in the state.
    """

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.DiffResult:
        """Replace for other contents."""
        names = ("bucket", "key", "sha256")
        return dynamic.diff(olds, news, replace=names, update=ACCESS, delete_first=False)

    def create(self, props: dict[str, Any]) -> engine.CreateResult:
        """Store the archive; StoreError where it is not the one that was planned."""
        folder = props.get("folder", "")
        with archive.pack(archive.contents(folder)) as packed:
            if archive.digest(packed) != props["sha256"]:
                changed = f"The files of {folder or 'worker/'} changed meanwhile"
                raise StoreError(f"{changed}: run the same command again.")
            s3.put(s3.client(props), props["bucket"], props["key"], packed)
        return engine.CreateResult(props["key"], props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> engine.UpdateResult:
        """Put again: another endpoint may be another store."""
        return engine.UpdateResult(self.create({**olds, **news}).outs)

    def read(self, id_: str, props: dict[str, Any]) -> engine.ReadResult:
        """Report a deleted archive as gone: the next `up` stores it again."""
        if not s3.holds(s3.client(props), props["bucket"], props["key"]):
            return engine.ReadResult("", {})
        return engine.ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete the archive."""
        s3.remove(s3.client(props), props["bucket"], props["key"])


def _is_claim(props: dict[str, Any]) -> bool:
    return "queue" not in props  # an input of adoptions


def _was_made(olds: dict[str, Any]) -> bool:
    return bool(olds.get("made", _is_claim(olds)))  # older versions' claims have no `made`


def _is_own(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether this stack made the bucket of `news`: the same as before, or one that it left."""
    bucket = news["bucket"]
    if olds["bucket"] == bucket:
        return _was_made(olds)
    # A bucket that was deleted and recreated since has another creation time.
    left = (olds.get("former") or {}).get(bucket)
    return left is not None and left == s3.creation_time(s3.client(news), bucket)


def _former(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, str]:
    former = {name: at for name, at in (olds.get("former") or {}).items() if name != news["bucket"]}
    if olds["bucket"] != news["bucket"] and _was_made(olds):
        former[olds["bucket"]] = s3.creation_time(s3.client(news), olds["bucket"]) or ""
    return former


def _moves(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another bucket takes the place of one that exists."""
    # A claim may have no bucket: it could not be created, or its `up` was refused.
    is_other = olds["bucket"] != news["bucket"]
    return is_other and s3.find(s3.client(olds), olds["bucket"]) != "absent"
