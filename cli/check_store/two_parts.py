"""An upload in parts, as `./pipeline put` sends large pictures."""

from contextlib import suppress

from botocore.exceptions import BotoCoreError, ClientError

from cli.check_store.ground import Ground

LEAST_PART = 5 << 20  # bytes, of every part but the last (S3 API reference)
PARTS = (b"a" * LEAST_PART, b"b")


def upload_in_two_parts(ground: Ground, key: str, parts: tuple[bytes, ...] = PARTS) -> str:
    """Its ETag; an upload that fails is aborted, so that its bucket can be removed."""
    where = {"Bucket": ground.bucket("plain"), "Key": key}
    upload = {**where, "UploadId": ground.s3.create_multipart_upload(**where)["UploadId"]}
    try:
        done = [
            {
                "PartNumber": number,
                "ETag": ground.s3.upload_part(**upload, PartNumber=number, Body=part)["ETag"],
            }
            for number, part in enumerate(parts, 1)
        ]
        answer = ground.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        return str(answer["ETag"])
    except BaseException:
        with suppress(ClientError, BotoCoreError):
            ground.s3.abort_multipart_upload(**upload)
        raise
