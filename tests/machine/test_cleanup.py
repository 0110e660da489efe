"""Whichever process of a container is killed, and whenever, nothing of the machine is left."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from cli.paths import cache_folder
from local.machine import debian_tree, kinds, machine
from local.machine.kinds import MachineKind
from local.machine.nspawn.machine import NspawnMachine
from tests.machine import stacks
from tests.machine.guest import eventually
from tests.machine.stacks import USER_DATA
from tests.running import is_alive


def networks(processes: list[psutil.Process]) -> set[str]:
    """Return the network namespaces of the processes."""
    found = set()
    for process in processes:
        with suppress(OSError):
            found.add(str(Path(f"/proc/{process.pid}/ns/net").readlink()))
    return found


@contextmanager
def held_networks(processes: list[psutil.Process]) -> Iterator[None]:
    """Hold processes' network namespaces: else the kernel gives their numbers to new ones."""
    with ExitStack() as held:
        for process in processes:
            with suppress(OSError):
                held.enter_context(Path(f"/proc/{process.pid}/ns/net").open())
        yield


def groups(guest: NspawnMachine) -> set[str]:
    """Return the control groups of a guest."""
    pattern = f"image-pipeline-{guest.folder.name}"
    root = Path("/sys/fs/cgroup")
    return {str(path) for path in (*root.glob(pattern), *root.glob(f"*/{pattern}"))}


@pytest.fixture
def booting(able: None) -> Iterator[NspawnMachine]:
    """Yield a guest that has begun to boot."""
    del able
    tree = debian_tree.build(cache_folder() / "trees", "bookworm")
    with stacks.booting(MachineKind(kinds.NSPAWN, str(tree))) as made:
        assert isinstance(made, NspawnMachine)
        yield made
        members = family(made)
    assert not any(map(is_alive, members))
    assert groups(made) == set()


def family(guest: NspawnMachine) -> list[psutil.Process]:
    """Return the outer process and its descendants, oldest first; [] when it has ended."""
    try:
        outer = psutil.Process(int((guest.folder / "machine.pid").read_text()))
        return [outer, *outer.children(recursive=True)]
    except psutil.Error:
        return []


def up(guest: NspawnMachine) -> bool:
    """Whether systemd in the guest has begun to start units."""
    try:
        shown = guest.run_command(["systemctl", "is-system-running"]).stdout.strip()
    except ProcessLookupError:
        return False
    return shown in ("starting", "running", "degraded")


@pytest.mark.parametrize(
    "victim", ["nspawn.service", "nspawn.forwarder", "slirp4netns", "systemd-nspawn"]
)
def test_killing_any_part_ends_the_machine(booting: NspawnMachine, victim: str) -> None:
    eventually(lambda: up(booting))
    members = family(booting)
    own = networks(members) - networks([psutil.Process()])
    assert own  # its own, and those of units inside that have one
    assert groups(booting)  # there is something that could be left
    target = next(each for each in members if victim in command(each))
    with held_networks(members):
        os.kill(target.pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, members)), what="all of its processes have ended")
        assert not machine.is_running(booting.folder)
        assert not own & networks(list(psutil.process_iter()))


def command(process: psutil.Process) -> str:
    """Return a process's command line, "" once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_killing_it_during_its_start_leaves_nothing(booting: NspawnMachine) -> None:
    os.kill(family(booting)[0].pid, signal.SIGKILL)


def test_killed_machine_boots_again_on_its_disk(booting: NspawnMachine) -> None:
    eventually(lambda: up(booting))
    booting.run_command(["/bin/sh", "-c", "echo kept > /etc/something; sync"])
    os.kill(family(booting)[0].pid, signal.SIGKILL)
    eventually(lambda: not machine.is_running(booting.folder))
    kind = MachineKind(kinds.NSPAWN, str(debian_tree.path(cache_folder() / "trees", "bookworm")))
    kinds.start(booting.folder, kind, "vm", USER_DATA, "")
    eventually(lambda: up(booting))
    assert booting.run_command(["cat", "/etc/something"]).stdout == "kept\n"
