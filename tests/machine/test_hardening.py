"""What the worker's unit forbids, tried from inside; root's attempt is the positive control."""

import re

import pytest

from tests.machine.guest import DROP_IN, NAMES, WORKER, Guest, eventually

READ = """
import sys
for path in (
    "/etc/pipeline/credentials/database-admin-password", "/etc/pipeline/credentials/s3-secret-key",
    "/etc/shadow", "/var/lib/cloud/instance/user-data.txt", "@SEED@",
    "/root", "/proc/1/environ", "/var/lib/private/pipeline/thumbs",
):
    try:
        import os
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read()
        print("read", path)
    except OSError as error:
        print("refused", path)
"""
WRITE = """
import os
skip = {"/proc", "/sys"}
for folder, folders, _ in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in skip]
    path = os.path.join(folder, "written-by-a-probe")
    try:
        open(path, "w").close()
        os.unlink(path)
        print("wrote", folder)
    except OSError:
        pass
print("looked everywhere")
"""
METADATA = """
import socket
for address in ("127.0.0.9", "169.254.169.254"):
    try:
        socket.create_connection((address, 8099), 3).close()
        print("reached", address)
    except OSError:
        print("refused", address)
"""
TRANSFORM = """
import os
from worker.sandbox.confinement import confine
secret = os.environ["CREDENTIALS_DIRECTORY"] + "/s3-secret-key"
os.chdir(os.environ["STATE_DIRECTORY"])
print(len(open(secret).read()) > 0, confine(1 << 30, os.getppid()))
try:
    open(secret)
except PermissionError:
    print("refused")
"""
OTHER = """
import os
def credentials():
    folder = "/run/credentials/pipeline-worker@thumbs.service/"
    [open(folder + name).read() for name in os.listdir(folder)]
for word, action in (
    ("signalled", lambda: os.kill(@PID@, 0)),
    ("saw", lambda: os.stat("/proc/@PID@/environ")),
    ("read", credentials),
):
    try:
        action()
        print(word)
    except OSError:
        print("refused")
"""
HOG = """
held = bytearray(400 << 20)
print("held", len(held) >> 20)
"""


def exposure(guest: Guest, unit: str) -> float:
    printed = guest.shell(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    found = re.search(r"exposure level for \S+: ([\d.]+)", printed)
    assert found, printed
    return float(found[1])


def test_exposure_is_at_most_two(guest: Guest) -> None:
    assert exposure(guest, WORKER) <= 2.0
    assert exposure(guest, "ssh.service") > 2.0  # the measure distinguishes units


def test_worker_cannot_read_roots_files(guest: Guest) -> None:
    probe = READ.replace("@SEED@", guest.machine.seed)
    control = guest.probe_as_root(probe).splitlines()
    assert len(control) == 8
    assert all(line.startswith("read ") for line in control), control
    tried = guest.probe_as_worker(probe).splitlines()
    assert [line.split()[1] for line in tried] == [line.split()[1] for line in control]
    assert all(line.startswith("refused ") for line in tried), tried


def test_worker_writes_only_to_its_state(guest: Guest) -> None:
    assert "wrote /etc" in guest.probe_as_root(WRITE).splitlines()
    *wrote, last = guest.probe_as_worker(WRITE).splitlines()
    assert last == "looked everywhere"
    # /tmp and /var/tmp are private to the pass and gone after it.
    state = "/var/lib/private/pipeline/negatives"
    places = {line.removeprefix("wrote ") for line in wrote}
    assert {state, "/tmp", "/var/tmp"} == {p for p in places if not p.startswith(f"{state}/")}  # noqa: S108
    assert "written-by-a-probe" not in guest.shell("ls /tmp /var/tmp")


def test_worker_cannot_reach_the_metadata_service(guest: Guest) -> None:
    listener = 'ThreadingHTTPServer(("", 8099), SimpleHTTPRequestHandler).serve_forever()'
    guest.shell(
        "ip addr add 169.254.169.254/32 dev lo\n"
        "systemd-run -q --unit=listener --working-directory=/run python3 -c "
        f"'from http.server import *; {listener}'\n"
        "for each in $(seq 120); do ss -ltnH | grep -q :8099 && break; sleep 0.5; done"
    )
    try:
        reached = ["reached 127.0.0.9", "reached 169.254.169.254"]
        assert guest.probe_as_root(METADATA).splitlines() == reached
        # The rule alone keeps it out: the same unit without it reaches the service.
        assert guest.probe_as_worker(METADATA, "IPAddressDeny=").splitlines() == reached
        refused = ["reached 127.0.0.9", "refused 169.254.169.254"]
        assert guest.probe_as_worker(METADATA).splitlines() == refused
    finally:
        guest.shell("systemctl stop listener; ip addr del 169.254.169.254/32 dev lo", code=None)


def test_transform_cannot_read_the_credentials(guest: Guest) -> None:
    """The unit forbids none of what a transform's process gives up by itself."""
    assert guest.probe_as_worker(TRANSFORM).splitlines() == ["True []", "refused"]


def test_worker_cannot_use_more_than_its_memory(guest: Guest) -> None:
    if "memory" not in guest.shell("cat /sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("this kernel's unified control groups have no memory controller")
    assert guest.probe_as_worker(HOG, "MemoryMax=infinity") == "held 400"
    assert "held" not in guest.probe_as_worker(HOG, "MemoryMax=200M")


def test_pipelines_cannot_use_more_than_their_slice(guest: Guest) -> None:
    if "memory" not in guest.shell("cat /sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("this kernel's unified control groups have no memory controller")
    guest.shell("systemctl set-property --runtime pipeline.slice MemoryMax=300M")
    try:
        assert "held" not in guest.probe_as_worker(HOG, "MemoryMax=infinity")
    finally:
        guest.shell("systemctl revert pipeline.slice")


def test_unit_is_restored(guest: Guest) -> None:
    """The tests above used a drop-in: none is left, and the limit is the pipeline's."""
    assert guest.shell(f"ls {DROP_IN}", code=None).endswith("No such file or directory")
    shown = int(guest.shell(f"systemctl show -P MemoryMax {WORKER}")) >> 20
    cores = int(guest.shell("nproc"))
    assert 1024 * cores < shown < 1024 * (cores + 1)


@pytest.mark.parametrize("name", NAMES)
def test_pipelines_are_limited_together(guest: Guest, name: str) -> None:
    """Each is in the slice, whose limit is below the machine's memory."""
    guest.shell(f"systemctl start --no-block pipeline-worker@{name}.service")
    unit = f"pipeline-worker@{name}.service"
    group = f"/pipeline.slice/{unit}"
    eventually(lambda: guest.shell(f"systemctl show -P ControlGroup {unit}").endswith(group))
    shown = guest.shell("systemctl show -P MemoryMax pipeline.slice")
    total = int(guest.shell("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) * 1024
    assert 0.75 * total < int(shown) < 0.85 * total


def test_settings_are_for_root_and_the_workers(guest: Guest) -> None:
    shown = "stat -c '%U %G %a' /etc/pipeline/worker.toml"
    assert guest.shell(shown) == "root pipeline 640"
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    refused = guest.shell(f"{nobody} cat /etc/pipeline/worker.toml", code=None)
    assert refused.endswith("Permission denied")


def test_worker_cannot_reach_another_pipelines_process(guest: Guest) -> None:
    """Each has a user of its own, and sees no others' processes and credentials."""
    other = "pipeline-worker@thumbs.service"
    guest.shell(f"systemctl restart {other}")  # a new pass lasts a minute
    probe = OTHER.replace("@PID@", guest.shell(f"systemctl show -P MainPID {other}"))
    assert guest.probe_as_root(probe).splitlines() == ["signalled", "saw", "read"]
    assert guest.probe_as_worker(probe).splitlines() == ["refused"] * 3
