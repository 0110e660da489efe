"""Copies within the store: of results into the input buckets of other pipelines, and of inputs."""

from typing import Any

from cli.check_store.check import YES, Check, Consequence, Severity, yes_if
from cli.check_store.checks import versions
from cli.check_store.checks.conditions import IGNORED
from cli.check_store.scratch_buckets import ScratchBuckets
from cli.check_store.store import refusal

_KEPT = "the source's metadata is added"
_PART = 5 << 20  # smallest part except the last (S3 API reference)


def _copied(scratch: ScratchBuckets, source: dict[str, str], **arguments: Any) -> dict[str, Any]:
    """Copy an object within its bucket, and return what GET says of the copy."""
    where = {"Bucket": source["Bucket"], "Key": scratch.key()}
    scratch.s3.copy_object(
        **where, CopySource=source, MetadataDirective="REPLACE", Metadata={"b": "2"}, **arguments
    )
    found: dict[str, Any] = scratch.s3.get_object(**where)
    return found


def _copy(scratch: ScratchBuckets) -> str:
    source = {"Bucket": scratch.bucket("plain"), "Key": scratch.key()}
    scratch.s3.put_object(**source, Body=b"picture", Metadata={"a": "1"})
    found = _copied(scratch, source, ContentType="image/webp")
    if found["Body"].read() != b"picture" or found["ContentType"] != "image/webp":
        return "other content"
    names = {name.lower() for name in found["Metadata"]}
    return _KEPT if "a" in names else yes_if(names == {"b"})


def _copy_if_match(scratch: ScratchBuckets) -> str:
    source = {"Bucket": scratch.bucket("plain"), "Key": scratch.key()}
    old = scratch.put(source["Bucket"], source["Key"], b"old")["ETag"]
    current = scratch.put(source["Bucket"], source["Key"], b"current")["ETag"]
    _copied(scratch, source, CopySourceIfMatch=current)
    answer = refusal(
        scratch.s3.copy_object,
        Bucket=source["Bucket"],
        Key=scratch.key(),
        CopySource=source,
        CopySourceIfMatch=old,
    )
    if not answer:
        return IGNORED
    return YES if answer.startswith("412") else answer


def _copy_version(scratch: ScratchBuckets) -> str:
    bucket, key = scratch.versioned(), scratch.key()
    older = scratch.put(bucket, key, b"older")["VersionId"]
    scratch.put(bucket, key, b"newer")
    found = _copied(scratch, {"Bucket": bucket, "Key": key, "VersionId": older})
    return yes_if(found["Body"].read() == b"older")


def _copy_parts(scratch: ScratchBuckets) -> str:
    bucket, key, copied = scratch.bucket("plain"), scratch.key(), scratch.key()
    content = bytes(_PART) + b"end"
    scratch.put(bucket, key, content)
    where = {"Bucket": bucket, "Key": copied}
    upload = {**where, "UploadId": scratch.s3.create_multipart_upload(**where)["UploadId"]}
    try:
        parts = []
        for number, span in enumerate((f"0-{_PART - 1}", f"{_PART}-{_PART + 2}"), 1):
            answer = scratch.s3.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource={"Bucket": bucket, "Key": key},
                CopySourceRange=f"bytes={span}",
            )
            etag = answer.get("CopyPartResult", {}).get("ETag", "")
            parts.append({"PartNumber": number, "ETag": etag})
        scratch.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    except Exception:
        refusal(scratch.s3.abort_multipart_upload, **upload)
        raise
    return yes_if(scratch.get(bucket, copied) == content)


CHECKS = (
    Check(
        "copied",
        "CopyObject gives the copy its own media type and metadata",
        _copy,
        Consequence(
            Severity.NOTE,
            "Nothing is lost: no name of metadata has one meaning in a source and another in its "
            "copy. Where objects cannot be copied, pipelines cannot read others' results.",
        ),
    ),
    Check(
        "copy-if-match",
        "CopyObject with x-amz-copy-source-if-match of an old ETag is refused",
        _copy_if_match,
        Consequence(
            Severity.NOTE,
            "Nothing is lost: the worker looks at the source before it copies, and again after it.",
        ),
    ),
    Check(
        "copy-version",
        "An older version can be copied by its id",
        _copy_version,
        Consequence(
            Severity.BROKEN, "A pipeline that reads another's results may get a newer one's."
        ),
        versions.NAME,
    ),
    Check(
        "copy-parts",
        "A part of an object can be copied (UploadPartCopy)",
        _copy_parts,
        Consequence(
            Severity.NOTE,
            "Files above 5 GiB can be neither quarantined nor kept, unless the store copies them "
            "in one request: they wait in the input bucket.",
        ),
    ),
)
