#!/usr/bin/env bash
# Ceph RGW 16.2.15 (Debian 12), one bucket over Swift and over S3: a file that was sent over Swift in segments
# (a dynamic large object, as rclone makes them) is whole to GET over S3. One would expect that a
# listing shows its size, as HEAD does, and that CopyObject copies what GET returns. The listing shows
# 0 bytes and the ETag of an empty object, and a copy with metadata of its own *is* empty, with 200 (one that
# keeps the metadata is another manifest of the same segments). Whoever moves objects by copying and deleting
# them loses such files; whoever compares a GET with the listing never accepts one.
#
# Seen: listed 0 bytes, HEAD and GET 2097152 bytes, the copy 0 bytes.
# Exits 0 while that is so, 1 otherwise. Needs root and mmdebstrap: a Debian tree of 0.9 GB with a Ceph that
# listens on loopback, in a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
root="$folder/root"
daemons=()
finish() {
    exec 2>/dev/null # bash reports each killed daemon
    for daemon in "${daemons[@]}"; do kill -KILL "$daemon" || true; done
    wait || true
    umount "$root/proc" || true
    rm -rf --one-file-system "$folder"
}
trap finish EXIT
mmdebstrap --quiet --variant=apt --include=ceph-mon,ceph-osd,radosgw,python3-boto3 bookworm "$root" >&2
ports=$(python3 -c '
import socket
free = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in free))')
read -r mon_port port <<<"$ports"
mkdir -p "$root/ceph/osd" "$root/ceph/gateway"
cat >"$root/ceph/ceph.conf" <<CONF
[global]
fsid = 00000000-0000-4000-8000-000000000001
mon host = v1:127.0.0.1:$mon_port/0
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
keyring = /ceph/keyring
run dir = /ceph
admin socket =
log file =
log to stderr = true
mon cluster log file =
mon data = /ceph/mon
mon data avail crit = 1
osd data = /ceph/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd class update on start = false
mon allow pool size one = true
mon max pg per osd = 4000
[client.rgw]
rgw data = /ceph/gateway
rgw frontends = beast endpoint=127.0.0.1:$port
rgw swift account in url = true
CONF
inside() { chroot "$root" env CEPH_CONF=/ceph/ceph.conf "$@"; }
begin() {
    chroot "$root" env CEPH_CONF=/ceph/ceph.conf "$@" -f >>"$folder/log" 2>&1 &
    daemons+=("$!")
}
mount -t proc proc "$root/proc"
inside ceph-authtool --create-keyring /ceph/keyring --gen-key -n mon. --cap mon 'allow *' >&2
inside monmaptool --create --fsid 00000000-0000-4000-8000-000000000001 \
    --addv a "[v1:127.0.0.1:$mon_port]" /ceph/monitors >&2
inside ceph-mon --mkfs -i a --monmap /ceph/monitors >&2
begin ceph-mon -i a
osd=00000000-0000-4000-8000-000000000002
until inside ceph --connect-timeout 5 osd new "$osd" >&2; do sleep 1; done
inside ceph-osd -i 0 --mkfs --osd-uuid "$osd" >&2
begin ceph-osd -i 0
begin radosgw -n client.rgw
user=$(inside radosgw-admin -n client.rgw user create --uid alice --display-name alice)
inside radosgw-admin -n client.rgw subuser create --uid alice --subuser alice:swift --access full >/dev/null
swift=$(inside radosgw-admin -n client.rgw key create --subuser alice:swift --key-type swift --gen-secret)
inside radosgw --version
PORT=$port USER_KEYS=$user SWIFT_KEYS=$swift inside python3 - <<'PYTHON'
import json
import os
import sys
import time
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config

endpoint = f"http://127.0.0.1:{os.environ['PORT']}"
[keys] = json.loads(os.environ["USER_KEYS"])["keys"]
[swift] = json.loads(os.environ["SWIFT_KEYS"])["swift_keys"]
for _ in range(240):
    try:
        urlopen(endpoint)
        break
    except OSError:
        time.sleep(0.5)
login = {"X-Auth-User": swift["user"], "X-Auth-Key": swift["secret_key"]}
session = urlopen(Request(f"{endpoint}/auth/v1.0", headers=login)).headers


def put(path, body=b"", **headers):
    url = f"{session['X-Storage-Url']}/{path}"
    token = {"X-Auth-Token": session["X-Auth-Token"]}
    urlopen(Request(url, body, token | headers, method="PUT")).read()


put("photos")
put("photos_segments")
for number in range(2):
    put(f"photos_segments/large.png/{number}", os.urandom(1 << 20))
put("photos/large.png", **{"X-Object-Manifest": "photos_segments/large.png/"})

s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id=keys["access_key"],
    aws_secret_access_key=keys["secret_key"],
    config=Config(s3={"addressing_style": "path"}),
)
where = {"Bucket": "photos", "Key": "large.png"}
listed = s3.list_objects_v2(Bucket="photos")["Contents"][0]["Size"]
head = s3.head_object(**where)["ContentLength"]
got = len(s3.get_object(**where)["Body"].read())
s3.copy_object(
    Bucket="photos",
    Key="copy.png",
    CopySource=where,
    MetadataDirective="REPLACE",
    Metadata={"author": "alice"},
)
copied = len(s3.get_object(Bucket="photos", Key="copy.png")["Body"].read())
print(f"listed: {listed} bytes\nHEAD:   {head} bytes\nGET:    {got} bytes\ncopy:   {copied} bytes")
if (listed, head, got, copied) == (0, 2 << 20, 2 << 20, 0):
    print("As recorded: it is listed as empty, and a copy of it is empty.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
