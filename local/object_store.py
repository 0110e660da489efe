"""An S3 server on loopback: moto's (versions, in memory) or rclone's (no versions, files)."""

import json
import re
import secrets
import shutil
import signal
import sysconfig
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from local import private_file, processes
from local.errors import LocalCloudError

Server = Literal["moto", "rclone"]
NAME = "object-store"
LOG, PORT, RECORD = f"{NAME}.log", "port", f"{NAME}.json"
START_SECONDS = 60


@dataclass(frozen=True)
class ObjectStore:
    """A running S3 server, which takes path-style requests, and a key pair that it accepts."""

    endpoint: str
    access_key: str
    secret_key: str


def launch(folder: Path, server: Server = "moto") -> None:
    """Start the process of a folder's store unless it runs; `start` waits until it listens.

    Args:
        folder: the store's files. moto forgets its objects when it ends; rclone keeps them in
            `objects`.
        server: the program to start.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if processes.is_running(folder, NAME):
        return
    processes.end(folder)
    (folder / RECORD).unlink(missing_ok=True)
    if server == "rclone":
        _launch_rclone(folder, *_key_pair(folder))
    else:
        (folder / PORT).unlink(missing_ok=True)
        processes.start_module(folder, NAME, "local.moto_server", [str(folder / PORT)])


def start(folder: Path, server: Server = "moto") -> ObjectStore:
    """Start the store of a folder unless it runs, and wait until it listens.

    Args:
        folder: the store's files, see `launch`.
        server: the program to start.

    Returns:
        The running store; its address and keys stay the same over restarts.
    """
    folder = folder.absolute()
    launch(folder, server)
    record = folder / RECORD
    if not record.exists():
        endpoint = _await_rclone(folder) if server == "rclone" else _await_moto(folder)
        private_file.write(record, json.dumps(asdict(ObjectStore(endpoint, *_key_pair(folder)))))
    return ObjectStore(**json.loads(record.read_text(encoding="utf-8")))


def stop(folder: Path) -> None:
    """End the store and remove its folder, which may be missing."""
    folder = folder.absolute()
    processes.end(folder, first=signal.SIGKILL)  # its data is removed, so nothing is to be flushed
    shutil.rmtree(folder, ignore_errors=True)


def _key_pair(folder: Path) -> tuple[str, str]:
    path = folder / "key.json"
    if not path.exists():
        private_file.write(path, json.dumps([secrets.token_hex(16), secrets.token_hex(16)]))
    access_key, secret_key = json.loads(path.read_text(encoding="utf-8"))
    return access_key, secret_key


def _await_moto(folder: Path) -> str:
    port = processes.await_file(folder, NAME, folder / PORT, START_SECONDS)
    if port is None:
        raise _start_failed(folder)
    return f"http://127.0.0.1:{port}"


def _launch_rclone(folder: Path, access_key: str, secret_key: str) -> None:
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    (folder / LOG).unlink(missing_ok=True)
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    # S3's keys are bytes. Without the option, each PUT searches its whole folder for a name that
    # Unicode holds equal (rclone's vfs/dir.go, `stat`): the cost of n PUTs grows with n².
    plain = "--no-unicode-normalization"
    argv = [str(program), "serve", "s3", str(objects), "--addr", "127.0.0.1:0", plain]
    # A key on the command line could be read by everyone; the variable is a CSV list of pairs.
    # The user's own configuration is not read.
    extra = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": "/dev/null"}
    processes.start(folder, NAME, argv, extra=extra)


def _await_rclone(folder: Path) -> str:
    log = folder / LOG
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and processes.is_running(folder, NAME):
        address = re.search(r"server on \[(http://127\.0\.0\.1:\d+)/\]", log.read_text("utf-8"))
        if address:
            return address[1]
        time.sleep(0.02)
    raise _start_failed(folder)


def _start_failed(folder: Path) -> LocalCloudError:
    return LocalCloudError(f"The S3 server in {folder} did not start: see {folder / LOG}.")
