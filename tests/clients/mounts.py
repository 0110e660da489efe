"""Buckets that are mounted as folders, by s3fs or rclone."""

import re
import shlex
import signal
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.checkout import PROJECT
from tests.clients.at_work import keys_of
from tests.eventually import eventually, patience

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
def rclone_without_cache(folder: Path, store: ObjectStore, bucket: str) -> Iterator[Path]:
    """Mount a bucket with rclone and no options: `close` uploads; yields its folder."""
    with _rclone(folder, store, ["mount", f"store:{bucket}"]) as mount:
        yield mount


@contextmanager
def rclone(
    folder: Path,
    store: ObjectStore,
    bucket: str,
    *,
    which: str = "BUCKET",
    more: Sequence[str] = (),
    end: signal.Signals | None = None,
) -> Iterator[Path]:
    """Mount a bucket as docs/interfaces.md says; a later mount in the folder has the same cache.

    Args:
        folder: Where the mount and its files are.
        store: The bucket's store.
        bucket: The bucket.
        which: What the documented command calls it: BUCKET, or RESULTS for one that is only read.
        more: More options, which replace those of the same name.
        end: What ends it; without it, it is unmounted.

    Yields:
        The folder where it is mounted.
    """
    text = (PROJECT / "docs" / "interfaces.md").read_text().replace("\\\n", " ")
    (command,) = re.findall(rf"^rclone (mount store:{which} /.*)$", text, re.MULTILINE)
    action, _, _, *options = shlex.split(command)
    options = [f"{folder}/cache" if "/" in word else word for word in options]
    with _rclone(folder, store, [action, f"store:{bucket}", *options, *more], end) as mount:
        yield mount


@contextmanager
def _rclone(
    folder: Path,
    store: ObjectStore,
    arguments: Sequence[str],
    end: signal.Signals | None = None,
) -> Iterator[Path]:
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    keys = keys_of("rclone", store, folder / "rclone.conf")
    with _mounted(folder, [str(program), "--config", str(keys), *arguments], end) as mount:
        yield mount


@contextmanager
def _mounted(
    folder: Path, argv: Sequence[str], end: signal.Signals | None = None
) -> Iterator[Path]:
    mount, log = folder / "mount", folder / "mount.log"
    mount.mkdir(exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen([*argv, str(mount)], stdout=output, stderr=output)
    try:
        eventually(lambda: mount.is_mount() or process.poll() is not None)
        assert mount.is_mount(), log.read_text()
        yield mount
    finally:
        if end is not None:
            process.send_signal(end)
            process.wait(60 * patience())
        # s3fs finishes pending writes first; rclone leaves them to the next mount.
        subprocess.run(["fusermount3", "-u", mount], capture_output=True, check=False)
        try:
            process.wait(60 * patience())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
