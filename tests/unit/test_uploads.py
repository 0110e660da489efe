"""`put` and `get`: what is sent, skipped, reported and written."""

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from cli.bucket_client import BucketClient, StoreUnavailable
from cli.errors import CommandError
from cli.stacks.outputs import Outputs, Pipeline
from cli.uploads import Report, find_photos, send
from local import object_store
from tests.checkout import PROJECT
from tests.eventually import patience

BUCKETS = ("input", "output", "quarantine")
NEGATIVES = Pipeline("negatives", "negate", "input", "output")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outputs]:
    """The outputs of a stack whose store is moto."""
    folder = tmp_path_factory.mktemp("moto")
    store = object_store.start(folder, "moto")
    keys = (store.access_key, store.secret_key)
    yield Outputs({"negatives": NEGATIVES}, "quarantine", "", store.endpoint, "us-east-1", *keys)
    object_store.stop(folder)


@pytest.fixture
def s3(stack: Outputs) -> Iterator[Any]:
    """Another client of the store, whose buckets are new."""
    client = boto3.client(
        "s3",
        endpoint_url=stack.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=stack.s3_access_key,
        aws_secret_access_key=stack.s3_secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    yield client
    for bucket in BUCKETS:
        for line in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=line["Key"])
        client.delete_bucket(Bucket=bucket)


def put(stack: Outputs, *paths: Path, prefix: str = "", again: bool = False) -> Report:
    """Send files and folders."""
    client = BucketClient(stack, stack.pipeline(None))
    return send(client, find_photos(paths, prefix), lambda _: None, again=again)


def keys(s3: Any) -> list[str]:
    """The keys in the input bucket."""
    return [line["Key"] for line in s3.list_objects_v2(Bucket="input").get("Contents", [])]


def write(folder: Path, *names: str) -> list[Path]:
    """Files whose content is their name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return [folder / name for name in names]


def test_a_folder_is_sent_under_its_name(stack: Outputs, s3: Any, tmp_path: Path) -> None:
    album = tmp_path / "album"
    write(album, "a.jpg", "trip/b c.jpg", ".hidden.jpg", ".cache/x.jpg", "Thumbs.db")
    report = put(stack, album)
    assert sorted(report.sent) == keys(s3) == ["album/a.jpg", "album/trip/b c.jpg"]


def test_a_prefix_comes_before_every_key(stack: Outputs, s3: Any, tmp_path: Path) -> None:
    [photo] = write(tmp_path, "a.jpg")
    put(stack, photo, prefix="summer/2026")
    assert keys(s3) == ["summer/2026/a.jpg"]


def test_what_waits_already_is_skipped(stack: Outputs, s3: Any, tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.jpg", "b.jpg")
    put(stack, first)
    report = put(stack, first, second)
    assert (report.skipped, report.sent) == (["a.jpg"], ["b.jpg"])
    first.write_text("another photo")
    assert put(stack, first).sent == ["a.jpg"]
    assert s3.get_object(Bucket="input", Key="a.jpg")["Body"].read() == b"another photo"


def test_what_was_processed_is_skipped_unless_asked_for(
    stack: Outputs, s3: Any, tmp_path: Path
) -> None:
    [photo] = write(tmp_path, "a.jpg")
    sha256 = hashlib.sha256(photo.read_bytes()).hexdigest()
    s3.put_object(
        Bucket="output",
        Key="negated_a.jpg",
        Body=b"",
        Metadata={"input-sha256": sha256, "sha256": "0"},
    )
    assert put(stack, photo).skipped == ["a.jpg"]
    assert keys(s3) == []
    assert put(stack, photo, again=True).sent == ["a.jpg"]
    photo.write_text("another photo of that name")
    assert put(stack, photo).sent == ["a.jpg"]


def test_a_file_that_fails_does_not_stop_the_others(
    stack: Outputs, s3: Any, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    write(album, "a.jpg", "b.jpg")
    Path(os.fsdecode(os.fsencode(album) + b"/caf\xe9.jpg")).write_text("not UTF-8")
    deep = album.joinpath(*["x" * 250] * 5)
    write(deep, "too long.jpg")
    with (album / "huge.jpg").open("wb") as file:
        file.truncate((5 << 30) + 1)
    report = put(stack, album)
    assert sorted(report.sent) == keys(s3) == ["album/a.jpg", "album/b.jpg"]
    first, second, third = sorted(report.failures)
    assert first == r"album/caf\xe9.jpg: its name is not UTF-8; rename it."
    assert second == "album/huge.jpg: larger than 5 GiB, the limit of a single PUT; split it."
    assert third.endswith("its name has 1273 bytes, the limit is 1024; rename it.")


def test_what_cannot_be_named_is_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a/x.jpg", "b/x.jpg")
    (tmp_path / "pipe").mkdir()
    with pytest.raises(CommandError) as raised:
        find_photos([tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg", tmp_path / "missing.jpg"])
    first, second = sorted(raised.value.message.splitlines())
    assert "both become object 'x.jpg': rename one" in first
    assert "missing.jpg': No such file or directory; name an existing one." in second


def test_a_store_that_refuses_everything_is_one_sentence(
    stack: Outputs, s3: Any, tmp_path: Path
) -> None:
    del s3
    photos = write(tmp_path, *(f"{number}.jpg" for number in range(20)))
    absent = dataclasses.replace(NEGATIVES, input_bucket="no-such-bucket")
    elsewhere = dataclasses.replace(stack, pipelines={"negatives": absent})
    with pytest.raises(
        StoreUnavailable, match=r"refused the request: NoSuchBucket\. .*/pipeline up'"
    ):
        put(elsewhere, *photos)


#: Answers three PUTs, then none.
_SLOW_STORE = """
import http.server, itertools, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    numbers = itertools.count()
    def do_HEAD(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if next(self.numbers) >= 3:
            time.sleep(600)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
#: `put` on a stack with that store; `log` says on standard output what is done.
_PUT = """
import sys
from pathlib import Path
from cli.bucket_client import BucketClient
from cli.errors import CommandError
from cli.stacks.outputs import Outputs, Pipeline
from cli.uploads import find_photos, send
pipeline = Pipeline("negatives", "negate", "input", "output")
stack = Outputs({"negatives": pipeline}, "quarantine", "", sys.argv[1], "", "key", "secret")
photos = find_photos([Path(sys.argv[2])])
try:
    send(BucketClient(stack, pipeline), photos, lambda done: print(done, flush=True))
except CommandError as error:
    error.show()
    sys.exit(error.exit_code)
"""


def test_ctrl_c_ends_at_once_and_reports_what_was_sent(tmp_path: Path) -> None:
    names = [f"{number:02}.jpg" for number in range(40)]
    write(tmp_path / "album", *names)
    store = subprocess.Popen([sys.executable, "-c", _SLOW_STORE], stdout=subprocess.PIPE, text=True)
    try:
        assert store.stdout is not None
        endpoint = f"http://127.0.0.1:{store.stdout.readline().strip()}"
        process = subprocess.Popen(
            [
                *("env", "--default-signal=INT", sys.executable, "-c", _PUT),
                *(endpoint, str(tmp_path / "album")),
            ],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        while process.stdout.readline().strip() != "3":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60 * patience())  # the store answers after 600
    finally:
        store.kill()
        store.wait()
    assert process.returncode == 130
    report = printed.strip()
    assert report.startswith("pipeline: Interrupted: 3 of 40 files were sent (album/")
    assert report.endswith("); the same command sends the rest.")
    assert report.count("album/") == 3


def test_download_writes_the_result(stack: Outputs, s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="output", Key="trip/negated_a.jpg", Body=b"negative")
    target = tmp_path / "negated_a.jpg"
    BucketClient(stack, NEGATIVES).download("", "trip/negated_a.jpg", target)
    assert target.read_bytes() == b"negative"
    assert list(tmp_path.iterdir()) == [target]


def test_a_name_too_long_for_the_file_system_is_one_sentence(
    stack: Outputs, s3: Any, tmp_path: Path
) -> None:
    name = f"negated_{'x' * 300}.jpg"
    s3.put_object(Bucket="output", Key=name, Body=b"negative")
    client = BucketClient(stack, NEGATIVES)
    with pytest.raises(CommandError, match=r"give a shorter one with --output FILE\.$"):
        client.download("", name, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(stack: Outputs, s3: Any) -> None:
    s3.put_object(Bucket="output", Key="negated_a.jpg", Body=b"negative")
    with pytest.raises(CommandError, match=r"^'/proc/negated_a\.jpg': .+\.$"):
        BucketClient(stack, NEGATIVES).download("", "negated_a.jpg", Path("/proc/negated_a.jpg"))


def test_photo_is_answered_by_its_result_or_by_leaving_the_input_bucket(
    stack: Outputs, s3: Any
) -> None:
    client = BucketClient(stack, stack.pipeline(None))
    names = ["album/waits.jpg", "album/negated.jpg", "refused.txt"]
    for name in names[:2]:
        s3.put_object(Bucket="input", Key=name, Body=b"photo")
    s3.put_object(Bucket="output", Key="album/negated_negated.jpg", Body=b"negative")
    assert client.count_processed(names) == 1
    assert client.count_answered(names) == 2
