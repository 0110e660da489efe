"""Nothing is left of a machine that is killed, or whose tests are; what the host lacks is named."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.paths import cache_folder
from local.machine import kinds, machine
from local.machine.kinds import MachineKind
from local.machine.qemu import image as disk_image
from local.machine.qemu.machine import QemuMachine, missing
from tests.checkout import PROJECT
from tests.engine.snapshot import take_snapshot
from tests.machine import stacks
from tests.machine.guest import eventually
from tests.machine.stacks import USER_DATA
from tests.running import is_alive

SUITE = "bookworm"
DEPLOYED = """
import signal, sys
from pathlib import Path
from tests.machine import stacks
with stacks.stack("qemu", "bookworm", Path(sys.argv[1])) as guest:
    print(guest.checkout.folder.parent, flush=True)
    signal.pause()
"""


@pytest.fixture
def booting(able: None) -> Iterator[QemuMachine]:
    """Yield a guest that has begun to boot."""
    del able
    image = disk_image.build(cache_folder() / "images", SUITE)
    with stacks.booting(MachineKind(kinds.QEMU, str(image))) as made:
        assert isinstance(made, QemuMachine)
        yield made


def test_killed_machine_boots_again_on_its_disk(booting: QemuMachine) -> None:
    eventually(lambda: answers(booting), 180, "its agent answers")
    booting.run_command(["/bin/sh", "-c", "echo kept > /etc/something; sync"])
    first = booting.boot_id()
    members = [psutil.Process(int((booting.folder / "machine.pid").read_text()))]
    os.kill(members[0].pid, signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, members)), 15, "the machine is one process")
    assert not machine.is_running(booting.folder)
    image = disk_image.path(cache_folder() / "images", SUITE)
    kinds.start(booting.folder, MachineKind(kinds.QEMU, str(image)), "vm", USER_DATA, "")
    eventually(lambda: answers(booting), 180, "its agent answers again")
    assert booting.boot_id() != first
    assert booting.run_command(["cat", "/etc/something"]).stdout == "kept\n"


def answers(guest: QemuMachine) -> bool:
    """Whether the guest's agent answers."""
    try:
        return bool(guest.boot_id())
    except ProcessLookupError:
        return False


def test_stack_is_removed_when_its_tests_are_killed(able: None, pulumi: Path) -> None:
    del able
    tests = subprocess.Popen(
        [sys.executable, "-c", DEPLOYED, str(pulumi)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        start_new_session=True,
    )
    assert tests.stdout is not None
    base = Path(tests.stdout.readline().strip())
    assert any("qemu-system" in line for line in take_snapshot(base).processes)
    tests.kill()
    tests.wait()
    eventually(
        lambda: not base.exists() and not take_snapshot(base).processes, 60, "everything is gone"
    )


def test_without_root_the_reason_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    reason = missing()
    assert reason is not None
    assert "need root" in reason


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, able: None) -> None:
    del able
    monkeypatch.setenv("PATH", "/nonexistent")
    reason = missing()
    assert reason is not None
    assert "qemu-system-x86_64, qemu-img, mmdebstrap, mke2fs, xorriso" in reason
