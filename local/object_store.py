"""A real S3 server on loopback: moto's (versions, in memory) or rclone's (no versions, files)."""

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

from local import files, processes
from local.errors import LocalCloudError

Kind = Literal["moto", "rclone"]
NAME = "object-store"


@dataclass(frozen=True)
class ObjectStore:
    """Where the store answers (path style) and a key pair it accepts."""

    endpoint: str
    access_key: str
    secret_key: str


def start(folder: Path, kind: Kind = "moto") -> ObjectStore:
    """The store that `folder` holds, started when it does not run.

    moto forgets its objects when it ends; rclone keeps them below `folder/objects`.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = folder / f"{NAME}.json"
    if record.exists() and processes.running(folder, NAME):
        return ObjectStore(**json.loads(record.read_text(encoding="utf-8")))
    processes.end(folder)
    access_key, secret_key = _key(folder)
    start_server = _start_rclone if kind == "rclone" else _start_moto
    endpoint = start_server(folder, access_key, secret_key)
    store = ObjectStore(endpoint, access_key, secret_key)
    files.write(record, json.dumps(asdict(store)))
    return store


def stop(folder: Path) -> None:
    """End the store and remove its folder; fine when there is none."""
    folder = folder.absolute()
    processes.end(folder, first=signal.SIGKILL)  # nothing of it is kept, so nothing to flush
    shutil.rmtree(folder, ignore_errors=True)


def _key(folder: Path) -> tuple[str, str]:
    """A key pair that stays the same over restarts."""
    path = folder / "key.json"
    if not path.exists():
        files.write(path, json.dumps([secrets.token_hex(16), secrets.token_hex(16)]))
    access_key, secret_key = json.loads(path.read_text(encoding="utf-8"))
    return access_key, secret_key


def _start_moto(folder: Path, _access_key: str, _secret_key: str) -> str:
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    processes.start_module(folder, NAME, "local.moto_server", [str(port_file)])
    port = processes.await_file(folder, NAME, port_file, seconds=30)
    if port is None:
        raise _did_not_start(folder)
    return f"http://127.0.0.1:{port}"


def _start_rclone(folder: Path, access_key: str, secret_key: str) -> str:
    objects = folder / "objects"
    objects.mkdir(exist_ok=True)
    log = folder / f"{NAME}.log"
    log.unlink(missing_ok=True)
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    # S3's keys are bytes. Without the flag, each PUT looks through its whole folder for a name that
    # Unicode holds equal (rclone's vfs/dir.go, `stat`): what n PUTs cost grows with n².
    plain = "--no-unicode-normalization"
    argv = [str(program), "serve", "s3", str(objects), "--addr", "127.0.0.1:0", plain]
    # A key on the command line could be read by everyone; the variable is a CSV list of pairs.
    # No configuration of the user's is read: its path must not exist.
    extra = {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"', "RCLONE_CONFIG": "/dev/null"}
    processes.start(folder, NAME, argv, extra=extra)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and processes.running(folder, NAME):
        address = re.search(r"server on \[(http://127\.0\.0\.1:\d+)/\]", log.read_text("utf-8"))
        if address:
            return address[1]
        time.sleep(0.02)
    raise _did_not_start(folder)


def _did_not_start(folder: Path) -> LocalCloudError:
    return LocalCloudError(
        f"The S3 server in {folder} did not start: see {folder / (NAME + '.log')}."
    )
