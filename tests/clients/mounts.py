"""Buckets that are mounted as folders, by s3fs or rclone."""

import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.clients.at_work import keys_of
from tests.eventually import eventually

# tests/allowed_skips.txt has the same command.
CAN_MOUNT = "command -v s3fs && command -v fusermount3 && test -w /dev/fuse && unshare --mount true"

needs_fuse = pytest.mark.skipif(
    subprocess.run(["/bin/sh", "-c", CAN_MOUNT], capture_output=True, check=False).returncode != 0,
    reason="needs root, /dev/fuse, s3fs and fusermount3 (Debian: apt-get install s3fs fuse3)",
)


@contextmanager
def s3fs(folder: Path, store: ObjectStore, bucket: str) -> Iterator[Path]:
    """Mount a bucket with s3fs; yields its folder."""
    keys = folder / "keys"
    keys.touch(mode=0o600)
    keys.write_text(f"{store.access_key}:{store.secret_key}")
    options = f"passwd_file={keys},url={store.endpoint},use_path_request_style"
    with _mounted(folder, ["s3fs", "-f", "-o", options, bucket]) as mount:
        yield mount


@contextmanager
def rclone(folder: Path, store: ObjectStore, bucket: str) -> Iterator[Path]:
    """Mount a bucket with rclone; yields its folder."""
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    keys = keys_of("rclone", store, folder / "rclone.conf")
    argv = [str(program), "--config", str(keys), "mount", f"store:{bucket}"]
    with _mounted(folder, argv) as mount:
        yield mount


@contextmanager
def _mounted(folder: Path, argv: Sequence[str]) -> Iterator[Path]:
    mount, log = folder / "mount", folder / "mount.log"
    mount.mkdir()
    with log.open("w") as output:
        process = subprocess.Popen([*argv, str(mount)], stdout=output, stderr=output)
    try:
        eventually(lambda: mount.is_mount() or process.poll() is not None)
        assert mount.is_mount(), log.read_text()
        yield mount
    finally:
        # Pending writes are finished first.
        subprocess.run(["fusermount3", "-u", mount], check=False)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
