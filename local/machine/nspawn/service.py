"""The service of a `container` machine: `python -m local.machine.nspawn.service FOLDER`.

It has two processes. A signal to the outer one ends the machine at once, as Nova's delete does. The
inner one is process 1 of a process namespace, with separate mounts, and starts the rest: a
forwarder that owns the guest's network, slirp4netns, systemd-nspawn. So nothing can be left behind:
whichever of them is killed, the kernel ends everything in the namespace, and mounts and networks go
with the last process that had them.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from local import private_file
from local.machine import machine, user_data
from local.machine.nspawn import cgroups, namespaces, network, seed

_INIT = 1  # the process id that a namespace begins with
_REBOOT = 133  # systemd-nspawn --keep-unit: the guest asks to be started again


def main(folder: Path) -> None:
    """Run the outer process until a signal, or the inner one until the guest is off."""
    if os.getpid() == _INIT:
        sys.exit(_boot(folder))
    namespaces.separate_processes()
    inner = subprocess.Popen(
        [sys.executable, "-m", "local.machine.nspawn.service", str(folder)],
        stdin=subprocess.DEVNULL,
        preexec_fn=namespaces.die_with_parent,  # noqa: PLW1509 - there is no other thread
    )

    def power_off(_number: int, _frame: FrameType | None) -> None:
        inner.kill()

    signal.signal(signal.SIGTERM, power_off)
    sys.exit(inner.wait())


def _boot(folder: Path) -> int:
    """Start everything; returns when the guest, or a process that it needs, has ended."""
    os.chdir(folder)  # sockets have short names
    record = machine.load_record(folder)
    namespaces.separate_mounts()
    namespaces.mount("proc", Path("/proc"), "proc")
    # systemd-nspawn keeps sockets there, which would stay on the host.
    nspawn_folder = Path("/run/systemd/nspawn")
    nspawn_folder.mkdir(parents=True, exist_ok=True)
    namespaces.mount("tmpfs", nspawn_folder, "tmpfs", "mode=0700")
    root = _mount_root(folder, record)
    packed = (folder / "user-data").read_text("utf-8")
    needed = network.start(folder, user_data.loopback_ports(packed))
    groups = cgroups.make(record["id"])
    status = _REBOOT
    while status == _REBOOT:
        with (folder / "console.log").open("ab") as console:
            guest = subprocess.Popen(
                _nspawn(root, record, needed.namespace),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # trixie's systemd knows no other; bookworm's works with it as well.
                env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "1"},
                preexec_fn=lambda: cgroups.enter(groups),  # noqa: PLW1509 - no other thread
            )
        private_file.write(folder / "booted", "")
        status = _await_end({guest.pid, *needed.processes})
    return status


def _await_end(vital: set[int]) -> int:
    """Return the exit status of the first of these to end; as process 1, collect orphans too."""
    while True:
        number, status = os.waitpid(-1, 0)
        if number in vital:
            return os.waitstatus_to_exitcode(status) % 256


def _mount_root(folder: Path, record: dict[str, str]) -> Path:
    """Mount the tree below the machine's own changes; returns the mount point."""
    upper, work, root = folder / "disk", folder / "overlay", folder / "root"
    for each in (upper, work, root):
        each.mkdir(exist_ok=True)
    upper.chmod(0o755)
    seed.write(upper, folder, record, machine.load_interface(folder))
    # `volatile` leaves out syncs, which would write out everything that the host holds. The kernel
    # refuses to mount a work folder that was used so before: the next boot gets a new one.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    options = f"lowerdir={record['tree']},upperdir={upper},workdir={work},volatile"
    namespaces.mount("overlay", root, "overlay", options)
    return root


def _nspawn(root: Path, record: dict[str, str], namespace: str) -> list[str]:
    """The command that boots the guest."""
    # CAP_BPF and bpf(2) are for IPAddressDeny=, which a VM's systemd has too; landlock(7) is for
    # the transforms' processes.
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
