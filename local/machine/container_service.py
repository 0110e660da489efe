"""What keeps a `container` machine: `python -m local.machine.container_service FOLDER`.

It lives in two processes. The outer one is the machine's power button: a signal ends it, and the
machine with it, at once, as Nova's delete does. The inner one is the first process of a process
namespace, with mounts of its own, and starts the rest: a forwarder that owns the guest's network,
slirp4netns, systemd-nspawn. So nothing can be left: whoever kills whichever of them, the kernel
ends all that is in the namespace, and mounts and networks go with the last process that had them.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from local import files
from local.machine import container_cgroups as cgroups
from local.machine import container_network as network
from local.machine import container_seed as seed
from local.machine import namespaces

_FIRST = 1  # the process number that a namespace begins with
_REBOOT = 133  # systemd-nspawn --keep-unit: the guest asks to be started again


def main(folder: Path) -> None:
    """The outer process until a signal ends it, or the inner one until the guest is off."""
    if os.getpid() == _FIRST:
        sys.exit(_boot(folder))
    namespaces.separate_processes()
    inner = subprocess.Popen(
        [sys.executable, "-m", "local.machine.container_service", str(folder)],
        stdin=subprocess.DEVNULL,
        preexec_fn=namespaces.die_with_parent,  # noqa: PLW1509 - we have no other thread
    )

    def power_button(_number: int, _frame: FrameType | None) -> None:
        inner.kill()

    signal.signal(signal.SIGTERM, power_button)
    sys.exit(inner.wait())


def _boot(folder: Path) -> int:
    """Start everything; returns when the guest, or what it cannot do without, has ended."""
    os.chdir(folder)  # sockets have short names
    record = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    namespaces.separate_mounts()
    namespaces.mount("proc", Path("/proc"), "proc")
    # systemd-nspawn keeps sockets there, which would stay on this machine.
    of_nspawn = Path("/run/systemd/nspawn")
    of_nspawn.mkdir(parents=True, exist_ok=True)
    namespaces.mount("tmpfs", of_nspawn, "tmpfs", "mode=0700")
    root = _mount_root(folder, record)
    needed = network.start(folder, network.ports((folder / "user-data").read_text("utf-8")))
    group = cgroups.make(record["id"])
    status = _REBOOT
    while status == _REBOOT:
        with (folder / "console.log").open("ab") as console:
            guest = subprocess.Popen(
                _nspawn(root, record, needed.namespace),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # trixie's systemd has no other; the older ones manage with it as well.
                env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"},
                preexec_fn=lambda: cgroups.enter(group),  # noqa: PLW1509 - no other thread
            )
        files.write(folder / "booted", "")
        status = _await({guest.pid, *needed.processes})
    return status


def _await(vital: set[int]) -> int:
    """The exit status of the first of these to end; collects what others left behind, too."""
    while True:
        number, status = os.waitpid(-1, 0)
        if number in vital:
            return os.waitstatus_to_exitcode(status) % 256


def _mount_root(folder: Path, record: dict[str, str]) -> Path:
    """The tree, with this machine's own changes above it."""
    upper, work, root = folder / "disk", folder / "overlay", folder / "root"
    for each in (upper, work, root):
        each.mkdir(exist_ok=True)
    upper.chmod(0o755)
    seed.write(upper, folder, record)
    # Without syncs, which would write out all that this machine has: the disk is for one life of
    # it. The kernel marks a disk mounted so, lest somebody rely on it after a crash.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    options = f"lowerdir={record['tree']},upperdir={upper},workdir={work},volatile"
    namespaces.mount("overlay", root, "overlay", options)
    return root


def _nspawn(root: Path, record: dict[str, str], namespace: str) -> list[str]:
    """`CAP_BPF` and bpf(2) are for IPAddressDeny=, which a VM's systemd has too; landlock(7) is for
    the transforms' processes."""
    calls = "bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    return [
        *("systemd-nspawn", "--quiet", "--boot", f"--directory={root}"),
        *("--register=no", "--keep-unit", f"--network-namespace-path={namespace}"),
        *("--capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON", f"--system-call-filter={calls}"),
        *(f"--machine={record['id'][:13]}", f"--hostname={record['name']}"),
        *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
