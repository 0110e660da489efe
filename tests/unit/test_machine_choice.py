"""Which machines commands are run on, and how those without a floating IP are reached."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncssh
import click
import pytest
from click.testing import CliRunner

from cli.commands import logs
from cli.errors import CommandError
from cli.machines.host import choose, first
from cli.machines.local_host import local_hosts
from cli.machines.ssh_host import SshHost
from cli.paths import LocalPaths
from cli.stacks.cloud_stack import CloudStack
from cli.stacks.target import Target
from local import processes
from local.machine.firewall import Interface
from local.machine.machine import NAME as PROCESS
from local.machine.machine import prepare
from local.machine.nspawn.machine import NspawnMachine
from local.machine.qemu.machine import QemuMachine
from tests.eventually import patience

NAMES = ("image-pipeline-lab-vm", "image-pipeline-lab-vm-2", "image-pipeline-lab-vm-10")


@dataclass
class Journal:
    """A machine with a journal."""

    name: str
    status: int = 0

    def journal(self, lines: int, **chosen: object) -> list[str]:
        text = f"{lines} lines\\n{chosen['service'] or 'all services'}\\n"
        return ["sh", "-c", f"printf '{text}'; exit {self.status}"]


@dataclass
class Stack:
    """A stack whose machines run."""

    machines: list[Any] = field(default_factory=lambda: [Journal(name) for name in NAMES])
    name: str = "lab"

    def hosts(self) -> list[Any]:
        return self.machines


def chosen(machine: str | None, stack: Stack | None = None) -> list[str]:
    return [host.name for host in choose(cast("Target", stack or Stack()), machine)]


def test_machine_is_chosen_by_name_or_number() -> None:
    assert chosen(None) == list(NAMES)
    assert chosen("1") == chosen(NAMES[0]) == [NAMES[0]]
    assert chosen("10") == chosen(NAMES[2]) == [NAMES[2]]
    assert first(cast("Target", Stack())).name == NAMES[0]


@pytest.mark.parametrize("machine", ["3", "0", "vm", "", "9" * 5000])
def test_other_machines_are_refused_with_those_that_run(machine: str) -> None:
    with pytest.raises(CommandError, match=rf"'{machine}' is not running: choose one of .*-vm-10"):
        chosen(machine)
    with pytest.raises(CommandError, match=r"pipeline up --stack lab' starts it"):
        chosen(machine, Stack([]))


def printed(stack: Stack, **options: object) -> tuple[list[str], int]:
    """Return what `logs` prints, and its exit status."""
    known = {"pipeline": None, "machine": None, "service": None, "lines": 7, "follow": False}

    def command() -> None:
        assert logs.command.callback is not None
        logs.command.callback(target=stack, **{**known, **options})

    result = CliRunner().invoke(click.command()(command))
    return result.stdout.splitlines(), result.exit_code


@pytest.mark.parametrize("follow", [False, True])
def test_lines_of_several_machines_name_theirs(*, follow: bool) -> None:
    lines, status = printed(Stack(), follow=follow)
    expected = [f"{name}: {line}" for name in NAMES for line in ("7 lines", "all services")]
    assert sorted(lines) == sorted(expected)
    if not follow:
        assert lines == expected
    assert status == 0


def test_lines_of_one_machine_are_as_it_has_them() -> None:
    assert printed(Stack(), machine="2")[0] == ["7 lines", "all services"]
    assert printed(Stack([Journal(NAMES[0])]))[0] == ["7 lines", "all services"]


def test_services_run_on_the_first_machine() -> None:
    assert printed(Stack(), service="web")[0] == ["7 lines", "web"]


def test_journal_that_cannot_be_read_hides_no_other() -> None:
    lines, status = printed(Stack([Journal(NAMES[0], status=255), Journal(NAMES[1])]))
    assert len(lines) == 4
    assert status == 255


class Deployed(CloudStack):
    """A stack with two machines in its state, which has them in any order."""

    def __init__(self, data: Path) -> None:
        self.name = "lab"
        self._data = data

    def _for_reading(self) -> Any:
        return self

    def resources(self) -> list[dict[str, Any]]:
        kind = "openstack:compute/instance:Instance"
        return [
            {"type": kind, "id": name[-4:], "outputs": {"name": name, "accessIpV4": f"10.0.0.{at}"}}
            for at, name in enumerate(reversed(NAMES))
        ]

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        del show_secrets
        return {"floatingIp": "192.0.2.7"}

    def settings(self) -> dict[str, Any]:
        return {"sshPublicKeyFile": str(self._data / "key.pub"), "sshUser": "debian"}


def test_machines_of_a_cloud_are_reached_through_the_first(tmp_path: Path) -> None:
    one, two, ten = Deployed(tmp_path).hosts()
    assert [host.name for host in (one, two, ten)] == list(NAMES)
    assert (one.address, one.jump) == ("192.0.2.7", None)
    assert (two.address, two.jump) == ("10.0.0.1", one)
    assert (ten.address, ten.jump) == ("10.0.0.0", one)


def test_machine_that_its_cloud_never_started_is_left_out(tmp_path: Path) -> None:
    stack = Deployed(tmp_path)
    found = stack.resources()
    del found[0]["outputs"]["accessIpV4"]
    stack.resources = lambda: found  # type: ignore[method-assign]
    assert [host.name for host in stack.hosts()] == list(NAMES[:2])


def test_machines_are_out_of_reach_without_the_first(tmp_path: Path) -> None:
    stack = Deployed(tmp_path)
    found = stack.resources()[:-1]
    stack.resources = lambda: found  # type: ignore[method-assign]
    for machine in (None, "2"):
        with pytest.raises(
            CommandError, match=r"No .* first one.* does not run: '.*up --stack lab' starts"
        ):
            choose(cast("Target", stack), machine)


def test_local_guests_are_out_of_reach_without_the_first(tmp_path: Path) -> None:
    class Guest(QemuMachine):
        interface = Interface("fa:16:3e:00:00:09", "10.0.0.9")

        def await_ssh_port(self) -> None:
            pass

    paths = LocalPaths(tmp_path)
    assert local_hosts([Guest(NAMES[1], tmp_path / "guest")], paths) == []


@pytest.mark.parametrize("ends", [False, True])
def test_guest_that_was_just_started_is_found(tmp_path: Path, ends: bool) -> None:
    """A machine starts in the background, and its port is known a moment later."""
    guest = NspawnMachine(NAMES[0], tmp_path / "guest")
    prepare(guest.folder, {"name": guest.name}, "")
    late = "exit" if ends else "echo 2222 > part; mv part ssh.port; exec sleep 600"
    processes.start(guest.folder, PROCESS, ["sh", "-c", f"sleep 0.5; {late}"])
    try:
        found = [vars(host)["port"] for host in local_hosts([guest], LocalPaths(tmp_path))]
    finally:
        processes.end(guest.folder)
    assert found == ([] if ends else [2222])


def test_machine_that_hangs_after_its_login_holds_up_no_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("cli.machines.ssh_host._STEPS_SECONDS", 0.2)
    assert Deployed(tmp_path).hosts()[1].steps() == []


class Server(asyncssh.SSHServer):
    """Admits the key, and forwards."""

    def begin_auth(self, username: str) -> bool:
        return username == "ubuntu"

    def connection_requested(self, *_: object) -> bool:
        return True


@dataclass
class Pair:
    """Two ssh servers, the second one reached through the first."""

    hosts: list[SshHost]
    loop: asyncio.AbstractEventLoop
    servers: list[asyncssh.SSHAcceptor]

    def close(self, number: int) -> None:
        self.loop.call_soon_threadsafe(self.servers[number].close)
        asyncio.run_coroutine_threadsafe(self.servers[number].wait_closed(), self.loop).result(
            60 * patience()
        )


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Serve until the test has ended; names have a blank and a percent sign."""
    folder, data = tmp_path / "a folder", tmp_path / "100% data"
    for each in (folder, data):
        each.mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve(name: str) -> asyncssh.SSHAcceptor:
        async def answer(process: "asyncssh.SSHServerProcess[str]") -> None:
            process.stdout.write(f"{name}: {process.command}\n")
            process.exit(0)

        return await asyncssh.create_server(
            Server,
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(folder / "key.pub"),
            process_factory=answer,
        )

    servers: list[asyncssh.SSHAcceptor] = []
    hosts: list[SshHost] = []
    for name in ("vm", "vm-2"):
        servers.append(asyncio.run_coroutine_threadsafe(serve(name), loop).result(60 * patience()))
        hosts.append(
            SshHost(
                name=name,
                instance=f"id-of-{name}",
                address="127.0.0.1",
                user="ubuntu",
                key=folder / "key",
                known_hosts=data / "known",
                cloud="cloud",
                port=servers[-1].get_port(),
                jump=hosts[0] if hosts else None,
            )
        )
    yield Pair(hosts, loop, servers)
    for number in range(2):
        Pair(hosts, loop, servers).close(number)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60 * patience())
    loop.close()


def run(host: SshHost) -> "subprocess.CompletedProcess[str]":
    command = [*host.login(), "hello"]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * patience(),
    )


def test_host_keys_of_jump_and_machine_are_stored_and_compared(pair: Pair) -> None:
    answer = run(pair.hosts[1])
    assert answer.stdout == "vm-2: hello\n", answer.stderr
    known = pair.hosts[0].known_hosts
    before = known.read_text()
    keys = {name: stored_key(known, name) for name in ("id-of-vm", "id-of-vm-2")}
    for name, other in (("id-of-vm", "id-of-vm-2"), ("id-of-vm-2", "id-of-vm")):
        subprocess.run(["ssh-keygen", "-R", name, "-f", known], check=True, capture_output=True)
        known.write_text(f"{known.read_text()}{name} {keys[other]}\n")
        answer = run(pair.hosts[1])
        assert answer.returncode == 255
        assert "Host key verification failed" in answer.stderr
        known.write_text(before)


def stored_key(known: Path, name: str) -> str:
    """Return a host's key in a file that may have hashed names."""
    command = ["ssh-keygen", "-F", name, "-f", str(known)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return found.splitlines()[-1].partition(" ")[2]


@pytest.mark.parametrize(("down", "reason"), [(0, "Connection refused"), (1, "forwarding failed")])
def test_refusal_names_both_machines_and_the_reason(pair: Pair, down: int, reason: str) -> None:
    pair.close(down)
    answer = run(pair.hosts[1])
    error = pair.hosts[1].explain_failure(answer.returncode, answer.stderr)
    assert error is not None
    assert "Machine vm-2 cannot be reached" in error.message
    assert "through vm at 127.0.0.1" in error.message
    assert reason in error.message
