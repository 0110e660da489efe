#!/usr/bin/env bash
# moto 5.2.5, its S3 server: Content-Type is metadata of an object; S3 does not interpret it. One would
# expect that a PUT stores its body whatever its type is called. With application/x-www-form-urlencoded
# moto answers 200 and stores an object of 0 bytes. That is the type which `curl --data-binary` and
# Python's urllib send with any body, so uploads that are passed on with the type that their client
# named are lost on moto, and on moto alone: its web framework has read the body as a form before.
# Nothing says so; only a look at the object, or a checksum in the request, shows it.
# worker/web/incoming_files.py stores such uploads as application/octet-stream.
#
# Seen: PUT of 7 bytes: 200; HEAD: 0 bytes as a form, 7 bytes as application/octet-stream.
# Exits 0 while that is so, 1 otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    'moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5 boto3==1.44.5

"$folder/venv/bin/python" - <<'PYTHON'
import sys

import boto3
import moto
from botocore.config import Config
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
_, port = server.get_host_and_port()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://127.0.0.1:{port}",
    region_name="us-east-1",
    aws_access_key_id="access",
    aws_secret_access_key="secret",
    # No checksum in the request: most clients of HTTP send none.
    config=Config(request_checksum_calculation="when_required"),
)
s3.create_bucket(Bucket="bucket")
print("moto", moto.__version__)
sizes = []
for kind in ("application/x-www-form-urlencoded", "application/octet-stream"):
    stored = s3.put_object(Bucket="bucket", Key="a.csv", Body=b"a=1&b=2", ContentType=kind)
    status = stored["ResponseMetadata"]["HTTPStatusCode"]
    sizes.append(s3.head_object(Bucket="bucket", Key="a.csv")["ContentLength"])
    print(f"{kind}: PUT of 7 bytes {status}, HEAD {sizes[-1]} bytes")
server.stop()
if sizes == [0, 7]:
    print("As recorded: a form's body is not stored.")
    sys.exit(0)
print("Changed: the sizes are not 0 and 7.")
sys.exit(1)
PYTHON
