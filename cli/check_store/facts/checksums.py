"""Whether bytes that were damaged on their way are noticed, and what ETags tell."""

import hashlib
from base64 import b64encode

from cli.check_store.fact import YES, Fact, Loss, Weight, holds
from cli.check_store.ground import Ground
from cli.check_store.store import AS_BOTO3_COMES, refusal
from cli.check_store.two_parts import PARTS, upload_in_two_parts

_SENT, _MEANT = b"damaged", b"picture"


def _refused(ground: Ground, **checksum: str) -> str:
    bucket, key = ground.bucket("plain"), ground.key()
    answer = refusal(ground.s3.put_object, Bucket=bucket, Key=key, Body=_SENT, **checksum)
    if not answer:
        return "stored all the same"
    return holds(key not in ground.listed(bucket))


def _md5(ground: Ground) -> str:
    digest = hashlib.md5(_MEANT, usedforsecurity=False).digest()
    return _refused(ground, ContentMD5=b64encode(digest).decode())


def _sha256(ground: Ground) -> str:
    return _refused(ground, ChecksumSHA256=b64encode(hashlib.sha256(_MEANT).digest()).decode())


def _boto3(ground: Ground) -> str:
    client = ground.store.client(ground.store.keys, AS_BOTO3_COMES)
    where = {"Bucket": ground.bucket("plain"), "Key": ground.key()}
    client.put_object(**where, Body=_MEANT)
    return holds(client.get_object(**where)["Body"].read() == _MEANT)


def _etag_md5(ground: Ground) -> str:
    answer = ground.put(ground.bucket("plain"), ground.key(), _MEANT)
    digest = hashlib.md5(_MEANT, usedforsecurity=False).hexdigest()
    return holds(answer["ETag"].strip('"') == digest)


def _etag_same(ground: Ground) -> str:
    bucket, key, large = ground.bucket("plain"), ground.key(), ground.key()
    told = {key: {ground.put(bucket, key)["ETag"]}, large: set()}
    upload_in_two_parts(ground, large)
    for where, etags in told.items():
        line = ground.s3.list_objects_v2(Bucket=bucket, Prefix=where)["Contents"][0]
        etags |= {line["ETag"], ground.s3.head_object(Bucket=bucket, Key=where)["ETag"]}
        etags.add(ground.s3.get_object(Bucket=bucket, Key=where)["ETag"])
        if len({etag.strip('"') for etag in etags}) > 1:
            return f"differ for {'parts' if where == large else 'a PUT'}"
    return YES


def _etag_told(ground: Ground) -> str:
    return holds(bool(upload_in_two_parts(ground, ground.key()).strip('"')))


def _etag_parts(ground: Ground) -> str:
    key = ground.key()
    upload_in_two_parts(ground, key)
    etag = ground.s3.head_object(Bucket=ground.bucket("plain"), Key=key)["ETag"]
    digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in PARTS]
    whole = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
    return holds(etag.strip('"') == f"{whole}-{len(PARTS)}")


FACTS = (
    Fact(
        "md5",
        "A PUT whose Content-MD5 does not fit its bytes is refused",
        _md5,
        Loss(Weight.LESS, "Nothing is lost: the worker compares the ETag, or else the length."),
    ),
    Fact(
        "sha256",
        "A PUT whose x-amz-checksum-sha256 does not fit its bytes is refused",
        _sha256,
        Loss(Weight.LESS, "Senders that rely on it: send Content-MD5 instead. Ours do not."),
    ),
    Fact(
        "boto3",
        "boto3 as it comes (1.36 or later, with checksums of its own) can put and get",
        _boto3,
        Loss(
            Weight.LESS,
            "Your own programs must set request_checksum_calculation and "
            'response_checksum_validation to "when_required", as ours do.',
        ),
    ),
    Fact(
        "etag-same",
        "PUT, GET, HEAD and listings tell one and the same ETag",
        _etag_same,
        Loss(Weight.BREAKS, "Uploads are never recognized as what was listed, so none is done."),
    ),
    Fact(
        "etag-md5",
        "The ETag of a PUT is the MD5 of its bytes",
        _etag_md5,
        Loss(Weight.LESS, "A damaged result is noticed by its length only."),
    ),
    Fact(
        "etag-told",
        "Whoever ends an upload in parts is told its ETag",
        _etag_told,
        Loss(Weight.LESS, "Nothing is lost: no program of ours looks at that answer."),
    ),
    Fact(
        "etag-parts",
        "The ETag of an upload in parts is the MD5 of its parts' MD5s and their number",
        _etag_parts,
        Loss(Weight.LESS, "Nothing is lost: no program of ours computes it."),
    ),
)
