"""Checksums of uploads, and ETags."""

import hashlib
from base64 import b64encode

from cli.check_store.check import YES, Check, Consequence, Severity, yes_if
from cli.check_store.scratch_buckets import PARTS, ScratchBuckets
from cli.check_store.store import CHECKSUMS_WHEN_SUPPORTED, refusal

_SENT, _INTENDED = b"damaged", b"picture"


def _refused(scratch: ScratchBuckets, **checksum: str) -> str:
    bucket, key = scratch.bucket("plain"), scratch.key()
    answer = refusal(scratch.s3.put_object, Bucket=bucket, Key=key, Body=_SENT, **checksum)
    if not answer:
        return "stored anyway"
    return yes_if(key not in scratch.list_keys(bucket))


def _md5(scratch: ScratchBuckets) -> str:
    digest = hashlib.md5(_INTENDED, usedforsecurity=False).digest()
    return _refused(scratch, ContentMD5=b64encode(digest).decode())


def _sha256(scratch: ScratchBuckets) -> str:
    return _refused(scratch, ChecksumSHA256=b64encode(hashlib.sha256(_INTENDED).digest()).decode())


def _boto3(scratch: ScratchBuckets) -> str:
    client = scratch.store.client(scratch.store.credentials, CHECKSUMS_WHEN_SUPPORTED)
    where = {"Bucket": scratch.bucket("plain"), "Key": scratch.key()}
    client.put_object(**where, Body=_INTENDED)
    return yes_if(client.get_object(**where)["Body"].read() == _INTENDED)


def _etag_md5(scratch: ScratchBuckets) -> str:
    answer = scratch.put(scratch.bucket("plain"), scratch.key(), _INTENDED)
    digest = hashlib.md5(_INTENDED, usedforsecurity=False).hexdigest()
    return yes_if(answer["ETag"].strip('"') == digest)


def _etag_same(scratch: ScratchBuckets) -> str:
    bucket, key, large = scratch.bucket("plain"), scratch.key(), scratch.key()
    seen = {key: {scratch.put(bucket, key)["ETag"]}, large: set()}
    scratch.put_multipart(large)
    for where, etags in seen.items():
        line = scratch.s3.list_objects_v2(Bucket=bucket, Prefix=where)["Contents"][0]
        etags |= {line["ETag"], scratch.s3.head_object(Bucket=bucket, Key=where)["ETag"]}
        etags.add(scratch.s3.get_object(Bucket=bucket, Key=where)["ETag"])
        if len({etag.strip('"') for etag in etags}) > 1:
            return f"differ for {'a multipart upload' if where == large else 'a PUT'}"
    return YES


def _etag_of_multipart(scratch: ScratchBuckets) -> str:
    return yes_if(bool(scratch.put_multipart(scratch.key()).strip('"')))


def _etag_of_parts(scratch: ScratchBuckets) -> str:
    key = scratch.key()
    scratch.put_multipart(key)
    etag = scratch.s3.head_object(Bucket=scratch.bucket("plain"), Key=key)["ETag"]
    digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in PARTS]
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return yes_if(etag.strip('"') == f"{whole}-{len(PARTS)}")


CHECKS = (
    Check(
        "md5",
        "A PUT with a wrong Content-MD5 is refused",
        _md5,
        Consequence(Severity.NOTE, "Nothing is lost: the worker compares the ETag, or the length."),
    ),
    Check(
        "sha256",
        "A PUT with a wrong x-amz-checksum-sha256 is refused",
        _sha256,
        Consequence(
            Severity.NOTE,
            "Programs that rely on it must send Content-MD5 instead; this project's do.",
        ),
    ),
    Check(
        "boto3",
        "boto3 with its defaults (checksums, since 1.36) can put and get",
        _boto3,
        Consequence(
            Severity.NOTE,
            "Your own programs must set request_checksum_calculation and "
            'response_checksum_validation to "when_required", as ours do.',
        ),
    ),
    Check(
        "etag-same",
        "PUT, GET, HEAD and listings return the same ETag",
        _etag_same,
        Consequence(Severity.BROKEN, "No upload matches its listing, so none is processed."),
    ),
    Check(
        "etag-md5",
        "The ETag of a PUT is the MD5 of its bytes",
        _etag_md5,
        Consequence(Severity.NOTE, "A damaged result is detected only by its length."),
    ),
    Check(
        "etag-told",
        "Completing a multipart upload returns its ETag",
        _etag_of_multipart,
        Consequence(Severity.NOTE, "Nothing is lost: this project does not use it."),
    ),
    Check(
        "etag-parts",
        "The ETag of a multipart upload is the MD5 of its parts' MD5s, and their number",
        _etag_of_parts,
        Consequence(Severity.NOTE, "Nothing is lost: this project does not use it."),
    ),
)
