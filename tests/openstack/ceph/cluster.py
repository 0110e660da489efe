"""Starting and ending the cluster that a folder holds.

Its daemons are marked as `local.processes` marks all that it starts, and the kernel ends them with
the process that called `start`: a test run that is killed leaves none behind.
"""

import json
import shutil
import signal
import subprocess
import time
import urllib.request
import uuid
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from local import private_file, processes
from local.errors import LocalCloudError
from local.object_store import ObjectStore
from local.ports import free_port
from tests.openstack.ceph import configuration
from tests.openstack.ceph.configuration import GATEWAY, MON, Keystone

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "setpriv")
OWNER = "alice"
# A port that was free may be taken by the time a daemon binds it: then that daemon ends, which is
# seen at once. What lives may be slow, on a machine with ten times more to do than cores.
ATTEMPTS = 3
SECONDS = 240


def missing() -> str | None:
    """One sentence where this machine cannot run Ceph."""
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        return (
            f"Ceph cannot be started without {', '.join(lacking)}: on Debian, 'apt-get install "
            "--no-install-recommends ceph-mon ceph-osd radosgw' brings them."
        )
    return None


def version() -> str:
    """Ceph's own, such as 16.2.15."""
    answer = subprocess.run(["radosgw", "--version"], capture_output=True, text=True, check=True)
    return answer.stdout.split()[2]


def start(folder: Path, keystone: Keystone | None = None) -> ObjectStore:
    """Start a new cluster, whose contents are lost when it stops.

    Args:
        folder: Its files; empty or absent.
        keystone: Where the gateway verifies credentials besides its own.

    Returns:
        The store with the keys of its first user.

    Raises:
        LocalCloudError: If the cluster cannot be started.
    """
    if (lacking := missing()) is not None:
        raise LocalCloudError(lacking)
    for _ in range(ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (answering := _start(folder, keystone)) is not None:
            private_file.write(folder / "endpoint", answering)
            return owner(folder, OWNER)
        log = _last_words(folder)
        warnings.warn(f"Ceph is tried again, since it did not start: {log}", stacklevel=2)
        stop(folder)
    raise LocalCloudError(f"Ceph did not start in {folder}: {log}")


def stop(folder: Path) -> None:
    """End the daemons and remove the folder; fine when there is none."""
    # Objects are in memory and a monitor's shutdown takes its time: nothing here is worth waiting.
    processes.end(folder, first=signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def endpoint(folder: Path) -> str:
    """Where the gateway of a running cluster answers."""
    return (folder / "endpoint").read_text(encoding="utf-8")


def owner(folder: Path, name: str) -> ObjectStore:
    """The store as another user of the gateway has it: made now, with keys of its own."""
    answer = _run(
        folder, "radosgw-admin", "-n", GATEWAY, "user", "create", "--uid", name,
        "--display-name", name,
    )  # fmt: skip
    (key,) = json.loads(answer)["keys"]
    return ObjectStore(endpoint(folder), key["access_key"], key["secret_key"])


def _start(folder: Path, keystone: Keystone | None) -> str | None:
    """The endpoint, or None where a daemon did not come up."""
    fsid, mon_port, gateway_port = str(uuid.uuid4()), free_port(), free_port()
    conf = configuration.text(folder, fsid, mon_port, gateway_port, keystone)
    private_file.write(folder / "ceph.conf", conf)
    for name in ("osd", "gateway"):
        (folder / name).mkdir()
    _make_monitor(folder, fsid, mon_port)
    _daemon(folder, "ceph-mon", "-i", MON)
    osd = str(uuid.uuid4())
    announce = ("ceph", "--connect-timeout", "5", "osd", "new", osd)
    for command in (announce, ("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)):
        if not _eventually(folder, "ceph-mon", partial(_done, folder, *command)):
            return None
    _daemon(folder, "radosgw", "-n", GATEWAY)  # it waits for the OSD by itself
    address = f"http://127.0.0.1:{gateway_port}"

    def served() -> bool:
        # An OSD ends if its first command reaches the monitor before the monitor's map reaches it:
        # "wrong fsid" (src/mon/MonClient.cc), seen where there was much else to do.
        if not processes.is_running(folder, "ceph-osd"):
            _daemon(folder, "ceph-osd", "-i", "0")
        return _answers(address)

    return address if _eventually(folder, "radosgw", served) else None


def _make_monitor(folder: Path, fsid: str, port: int) -> None:
    keyring, monitors = str(folder / "keyring"), str(folder / "monitors")
    _run(
        folder, "ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.",
        "--cap", "mon", "allow *",
    )  # fmt: skip
    address = f"[v1:127.0.0.1:{port}]"
    _run(folder, "monmaptool", "--create", "--fsid", fsid, "--addv", MON, address, monitors)
    _run(folder, "ceph-mon", "--mkfs", "-i", MON, "--monmap", monitors, "--keyring", keyring)


def _daemon(folder: Path, program: str, *arguments: str) -> None:
    """The kernel ends it with us; it stays in the foreground, so that it is found as started."""
    argv = ["setpriv", "--pdeathsig", "KILL", program, "-f", *arguments]
    processes.start(folder, program, argv, extra=_environment(folder))


def _run(folder: Path, *command: str) -> str:
    """What a tool of Ceph's prints; raises LocalCloudError with the end of its output."""
    answer = subprocess.run(
        command,
        env=processes.environment(folder, _environment(folder)),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if answer.returncode:
        raise LocalCloudError(f"{command[0]} failed: {answer.stderr.strip()[-500:]}")
    return answer.stdout


def _done(folder: Path, *command: str) -> bool:
    """Whether a tool did what it can do twice; it does not while the monitor is not there."""
    try:
        _run(folder, *command)
    except (LocalCloudError, subprocess.TimeoutExpired):
        return False
    return True


def _environment(folder: Path) -> dict[str, str]:
    return {"CEPH_CONF": str(folder / "ceph.conf")}


def _eventually(folder: Path, program: str, holds: Callable[[], bool]) -> bool:
    """Whether it becomes true while the daemon lives."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and processes.is_running(folder, program):
        if holds():
            return True
        time.sleep(0.1)
    return False


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):  # noqa: S310 - our own http endpoint
            return True
    except OSError:
        return False


def _last_words(folder: Path) -> str:
    """The end of the daemons' output."""
    logs = [folder / f"{name}.log" for name in ("ceph-mon", "ceph-osd", "radosgw")]
    ends = [path.read_text(encoding="utf-8")[-500:] for path in logs if path.exists()]
    return " … ".join(ends)
