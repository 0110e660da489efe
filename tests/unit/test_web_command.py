"""`./pipeline web`: where the page is reached, how the browser gets the key, what can fail."""

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.commands import web
from cli.errors import CommandError, MachineUnreachable
from cli.machines.local_host import ProcessHost
from cli.machines.ssh_host import SshHost
from local import private_file
from local.machine.process.machine import ProcessMachine
from tests.ports import reserved_port

KEY, TOKEN = "k" * 32, "t" * 32
OUTPUTS = {"pageKey": KEY, "uploadToken": TOKEN}
# Forwards a port as ssh does, and then runs the command; `fault` is what goes wrong.
SSH = """
import socket, subprocess, sys, threading
def copy(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
def forward(client):
    server = socket.create_connection(("127.0.0.1", {remote}))
    threading.Thread(target=copy, args=(client, server), daemon=True).start()
    copy(server, client)
def serve(listener):
    while True:
        threading.Thread(target=forward, args=(listener.accept()[0],), daemon=True).start()
{fault}
port = int(sys.argv[sys.argv.index("-L") + 1].split(":")[1])
listener = socket.create_server(("127.0.0.1", port))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
sys.exit(subprocess.run(["/bin/sh", "-c", sys.argv[-1]]).returncode)
"""


class Page(BaseHTTPRequestHandler):
    """Refuses strangers, as the page does."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@dataclass
class Stack:
    """What the command needs of a stack."""

    machines: list[Any]
    values: dict[str, Any] = field(default_factory=lambda: dict(OUTPUTS))
    name: str = "lab"

    def outputs(self) -> dict[str, Any]:
        return self.values

    def hosts(self) -> list[Any]:
        return self.machines


def run(stack: Stack, *, is_printed: bool = False, has_token: bool = False) -> None:
    assert web.command.callback is not None
    web.command.callback(target=stack, is_printed=is_printed, has_token=has_token)


@pytest.fixture(scope="module")
def served() -> Iterator[int]:
    """Serve a page and return its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def local(tmp_path: Path, served: int) -> ProcessHost:
    """Return a machine on this computer that serves the page."""
    machine = ProcessMachine("vm", tmp_path / "machine")
    private_file.write(machine.booted, "")
    private_file.write(machine.ports_file, f'{{"web": {served}}}')
    return ProcessHost(machine)


@pytest.fixture
def remote(tmp_path: Path, served: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """Return a machine behind an `ssh` that works."""
    write_ssh(tmp_path, served)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    yield SshHost("vm", "id", "192.0.2.1", "ubuntu", Path("key"), Path("known"), "cloud")


def write_ssh(folder: Path, remote: int, fault: str = "") -> None:
    path = folder / "bin/ssh"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{SSH.format(remote=remote, fault=fault)}")
    path.chmod(0o755)


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file into which a browser writes its command line and what it opened."""
    seen, program = tmp_path / "seen", tmp_path / "browser"
    program.write_text(
        f"#!/bin/sh\nfile=${{1#file://}}\n"
        f'{{ echo "$@"; stat -c %a "$file"; cat "$file"; }} > {seen}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    monkeypatch.setattr("webbrowser._tryorder", None)  # which it read from BROWSER before
    monkeypatch.setattr("cli.browser.CHECKOUT", tmp_path)
    monkeypatch.setattr(web, "_READ_SECONDS", 0.0)
    return seen


def test_address_of_a_page_on_this_computer_is_printed(
    local: ProcessHost, served: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Stack([local]), is_printed=True)
    assert capsys.readouterr().out == f"http://127.0.0.1:{served}/login?key={KEY}\n"


def test_browser_gets_the_key_from_a_private_file_that_is_gone_afterwards(
    local: ProcessHost, served: int, browser: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Stack([local]))
    arguments, mode, *page = browser.read_text().splitlines()
    assert KEY not in arguments
    assert mode == "600"
    assert f"url=http://127.0.0.1:{served}/login?key={KEY}" in "".join(page)
    assert not Path(arguments.removeprefix("file://")).exists()
    printed = capsys.readouterr()
    assert f"http://127.0.0.1:{served}" in printed.err
    assert KEY not in printed.out + printed.err


def test_computer_without_a_browser(
    local: ProcessHost, browser: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "/bin/false %s")
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(CommandError, match=r"web --print --stack lab' prints the address"):
        run(Stack([local]))
    assert not list(browser.parent.glob(".page*"))


def test_token_is_printed_as_a_header(
    local: ProcessHost, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Stack([local]), has_token=True)
    assert capsys.readouterr().out == f"Authorization: Bearer {TOKEN}\n"


def test_tunnel_that_is_lost_is_reported(
    tmp_path: Path, remote: SshHost, served: int, capfd: pytest.CaptureFixture[str]
) -> None:
    # It ends with the first connection, by which the command sees that the page answers.
    lost = """
import os
def forward(client, pass_on=forward):
    try:
        pass_on(client)
    finally:
        print("Timeout, server", file=sys.stderr, flush=True)
        os._exit(255)
"""
    write_ssh(tmp_path, served, lost)
    with pytest.raises(MachineUnreachable, match=r"vm was lost \(Timeout, server\): run the same"):
        run(Stack([remote]), is_printed=True)
    printed = capfd.readouterr()
    assert printed.out.startswith("http://127.0.0.1:")
    assert "Ctrl-C ends it" in printed.err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("print('Permission denied', file=sys.stderr); sys.exit(255)", "over ssh at 192.0.2.1"),
        ("print('bind: Address in use', file=sys.stderr); sys.exit(255)", "bind: Address in use"),
    ],
)
def test_machine_that_cannot_be_logged_in_to(
    tmp_path: Path, remote: SshHost, served: int, fault: str, words: str
) -> None:
    write_ssh(tmp_path, served, fault)
    with pytest.raises(MachineUnreachable, match=words):
        run(Stack([remote]), is_printed=True)


@pytest.mark.parametrize("kind", ["local", "remote"])
def test_page_that_does_not_answer_yet(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = request.getfixturevalue(kind)
    closed = reserved_port()
    if kind == "remote":
        write_ssh(tmp_path, closed)
    else:
        private_file.write(host.machine.ports_file, f'{{"web": {closed}}}')
    monkeypatch.setattr("cli.machines.page._WAIT_SECONDS", 0.5)
    with pytest.raises(CommandError, match=r"Machine vm does not serve the page yet: .*status"):
        run(Stack([host]), is_printed=True)


def test_stack_without_a_page(local: ProcessHost) -> None:
    for has_token in (True, False):
        with pytest.raises(CommandError, match=r"\(web: false\): set it to true, .* --stack lab"):
            run(Stack([local], values={"machineNames": "[]"}), has_token=has_token)
        with pytest.raises(CommandError, match=r"not completed: '\./pipeline up --stack lab' cont"):
            run(Stack([local], values={}), has_token=has_token)


def test_stack_without_a_machine() -> None:
    with pytest.raises(CommandError, match="No machine of the pipeline can be reached"):
        run(Stack([]), is_printed=True)
