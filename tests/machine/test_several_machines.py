"""Two machines that boot: they share the work, and only the first one reaches the other."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest

from cli.paths import LocalPaths, cache_folder
from local.cloud import LocalCloud
from local.machine.nspawn.machine import NspawnMachine
from tests.checkout import Checkout, make_checkout, open_folder
from tests.engine.snapshot import take_snapshot
from tests.machine import guardian
from tests.machine.guest import eventually
from tests.machine.test_cleanup import groups, held_networks, networks

NAMES = ("image-pipeline-local-vm", "image-pipeline-local-vm-2")
WEB = 8080
# Prints what answers at each ADDRESS:PORT.
CONNECT = """
import socket, sys
for place in sys.argv[1:]:
    address, port = place.split(":")
    try:
        socket.create_connection((address, int(port)), 3).close()
        print("open")
    except TimeoutError:
        print("dropped")
    except ConnectionRefusedError:
        print("refused")
"""


@dataclass
class Pair:
    """A stack with two machines that have done a demo's photos; it stays up."""

    checkout: Checkout
    shown: str

    @property
    def machines(self) -> list[NspawnMachine]:
        """Those that are up, by their numbers."""
        machines = LocalCloud(self.checkout.folder / ".local/cloud").machines()
        return [machine for machine in machines if isinstance(machine, NspawnMachine)]


@pytest.fixture(scope="module")
def pair(able: None, pulumi: Path) -> Iterator[Pair]:
    """Run the demo; what it left is removed even if the tests are killed."""
    del able
    with open_folder() as base, guardian.watching(base):
        made = make_checkout(base, pulumi)
        environment = {**made.environment, "XDG_CACHE_HOME": str(cache_folder().parent)}
        checkout = Checkout(made.folder, environment)
        demo = ("demo", "--machines", "2", "--machine", "container", "--keep")
        yield Pair(checkout, checkout.pipeline(*demo).stdout)
        checkout.pipeline("destroy", "--data", code=None)


def connect(machine: NspawnMachine, *places: str) -> list[str]:
    """Return what a machine finds at ports of the internal network."""
    answer = machine.run_command(["/usr/bin/python3", "-c", CONNECT, *places])
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def address(machine: NspawnMachine) -> str:
    """Return a machine's address in the internal network."""
    assert machine.interface is not None
    return machine.interface.address


def test_both_machines_did_some_of_the_photos(pair: Pair) -> None:
    machines = {job["machine"] for job in pair.checkout.json("jobs", "--last", "0")}
    assert machines == set(NAMES)
    assert [machine.name for machine in pair.machines] == list(NAMES)


def test_ssh_reaches_the_second_through_the_first(pair: Pair) -> None:
    checkout = pair.checkout
    shell = subprocess.run(
        checkout.command("ssh", "--machine", "2"),
        cwd=checkout.folder,
        env=checkout.environment,
        input="hostname; echo $SSH_CONNECTION",
        capture_output=True,
        text=True,
        check=False,
    )
    first, second = pair.machines
    *_, hostname, connection = shell.stdout.splitlines()
    assert hostname == NAMES[1], shell.stderr
    source, _, own, port = connection.split()
    assert (source, own, port) == (address(first), address(second), "22")


def test_second_admits_ssh_from_the_first_and_nothing_else(pair: Pair) -> None:
    first, second = pair.machines
    for machine in (first, second):
        serve = ["systemd-run", "--unit=probe", "python3", "-m", "http.server", str(WEB)]
        assert machine.run_command(serve).returncode == 0
        eventually(partial(is_serving, machine))
    places = [f"{address(machine)}:{port}" for machine in (first, second) for port in (22, WEB)]

    def found(machine: NspawnMachine, *expected: str) -> bool:
        """Whether all is as expected; on a busy computer an open port may at first seem dropped."""
        answers = connect(machine, *places)
        pairs = zip(answers, expected, strict=True)
        assert all(answer in ("dropped", wanted) for answer, wanted in pairs), answers
        return tuple(answers) == expected

    eventually(lambda: found(first, "open", "open", "open", "dropped"))
    eventually(lambda: found(second, "dropped", "dropped", "open", "open"))
    # Nor does it admit this computer, on which something of the first listens.
    assert not listening(second)
    assert listening(first)


def is_serving(machine: NspawnMachine) -> bool:
    return connect(machine, f"127.0.0.1:{WEB}") == ["open"]


def listening(machine: NspawnMachine) -> list[str]:
    """Return the TCP sockets on which this computer's processes of a machine listen."""
    sockets = take_snapshot(machine.folder).sockets
    return [line for line in sockets if line.startswith("tcp LISTEN")]


def test_machine_that_is_taken_away_leaves_nothing(pair: Pair) -> None:
    first, second = pair.machines
    boot, leader = first.boot_id(), psutil.Process(second.leader())
    network = networks([leader])
    settings = LocalPaths(pair.checkout.folder / ".local").own_pipelines
    settings.write_text(settings.read_text().replace("machines: 2", "machines: 1"))
    with held_networks([leader]):
        pair.checkout.pipeline("up")
        assert not network & networks(list(psutil.process_iter()))
    assert pair.machines == [first]
    assert first.boot_id() == boot
    assert [path for path in first.folder.parent.iterdir() if path.is_dir()] == [first.folder]
    left = take_snapshot(second.folder)
    assert (left.processes, left.sockets) == (frozenset(), frozenset())
    assert not any(second.folder.name in line for line in left.mounts)
    assert groups(second) == set()
    # It was shut down, so that its pass ended by itself.
    query = "select live from pipeline.heartbeats where machine like '%-2'"
    assert pair.checkout.pipeline("sql", query, "--csv").stdout.split() == ["live", "False"]
    before = len(done(pair))
    pair.checkout.pipeline("put", "--again", "samples/cat.jpg")
    eventually(lambda: len(done(pair)) > before, what="the first one goes on")
    assert done(pair)[-1] == NAMES[0]


def done(pair: Pair) -> list[str]:
    """Return the machines of the jobs that are done, oldest first."""
    jobs = pair.checkout.json("jobs", "--state", "done", "--last", "0")
    return [job["machine"] for job in jobs]
