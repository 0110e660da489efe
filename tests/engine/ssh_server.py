"""A real SSH server in front of a `process` machine of the local cloud.

The client is the system's own `ssh`. Commands run as on a real machine, except that paths below
/opt and /etc are the machine's, and that sudo and journalctl are small stand-ins: there is no root
and no separate journald.
"""

import asyncio
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

from cli.machines.page import READY
from local.machine.process.machine import ProcessMachine
from tests.eventually import patience
from worker.settings import Web

_SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
_JOURNALCTL = '#!/bin/sh\nexec cat "$JOURNAL"\n'


class _Server(asyncssh.SSHServer):
    """Admits one user with one key, and forwards to the machine's page."""

    def __init__(self, user: str, machine: ProcessMachine) -> None:
        self._user, self._machine = user, machine

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        del orig_host, orig_port
        if (dest_host, dest_port) != ("127.0.0.1", Web().port):
            return False
        return self._connection.forward_connection(dest_host, self._machine.ports["web"])

    def begin_auth(self, username: str) -> bool:
        if username != self._user:
            raise asyncssh.PermissionDenied(f"no user {username}")
        return True


@contextmanager
def ssh_server(
    machine: ProcessMachine, address: str, public_key: Path, folder: Path, user: str = "ubuntu"
) -> Iterator[Path]:
    """Serve until the context ends; yields a folder for PATH with an `ssh` for its port."""
    programs = folder / "machine-bin"
    installed = machine.root / "opt/pipeline/venv/.installed"  # its packages are this Python's
    installed.parent.mkdir(parents=True, exist_ok=True)
    installed.touch()
    for name, text in (("sudo", _SUDO), ("journalctl", _JOURNALCTL)):
        _program(programs / name, text)
    loop, started, port = asyncio.new_event_loop(), threading.Event(), [0]

    async def serve() -> None:
        async def answer(process: "asyncssh.SSHServerProcess[str]") -> None:
            # Without a command it is a shell, which ends after what is typed first.
            command = process.command or (await process.stdin.readline()).strip()
            if command.endswith("exec cat"):  # it ends with its input
                process.stdout.write(f"{READY}\n")
                await process.stdin.read()
                process.exit(0)
                return
            done = await asyncio.to_thread(_run, machine, programs, command)
            process.stdout.write(done.stdout)
            process.stderr.write(done.stderr)
            process.exit(done.returncode)

        server = await asyncssh.create_server(
            lambda: _Server(user, machine),
            address,
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=str(public_key),
            process_factory=answer,
        )
        port[0] = server.get_port()
        started.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(60 * patience())
    yield _client(folder, port[0])
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def _run(
    machine: ProcessMachine, programs: Path, command: str
) -> "subprocess.CompletedProcess[str]":
    here = command.replace("/opt/pipeline/venv/bin/python", shlex.quote(sys.executable))
    here = here.replace("/opt/pipeline", str(machine.root / "opt/pipeline"))
    environment = {
        **machine.environment(),
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PIPELINE_SETTINGS": str(machine.settings),
        "JOURNAL": str(machine.journal),
    }
    return subprocess.run(
        ["/bin/sh", "-c", here],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _client(folder: Path, port: int) -> Path:
    """Write an `ssh` for PATH: the system's, with another port, since only root may use port 22."""
    found = folder / "client-bin"
    _program(found / "ssh", f'#!/bin/sh\nexec /usr/bin/ssh -o Port={port} "$@"\n')
    return found


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
