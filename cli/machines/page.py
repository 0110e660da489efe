"""The page of a machine, as this computer reaches it: on its loopback, or through ssh."""

import http.client
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from cli.errors import CommandError, MachineUnreachable
from cli.terminal import visible

#: Printed by the machine once the tunnel is there.
READY = "@ready"
_WAIT_SECONDS = 40  # the page starts some seconds after `up` has ended, more on a busy computer
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Page:
    """A page that can be opened.

    Attributes:
        port: Of this computer's loopback.
        machine: The machine's name.
        tunnel: The running ssh, None where the page is on this computer.
        errors: What the tunnel wrote to standard error.
    """

    port: int
    machine: str
    tunnel: "subprocess.Popen[str] | None" = None
    errors: "IO[str] | None" = None

    @property
    def address(self) -> str:
        """The page's address, without a key."""
        return f"http://127.0.0.1:{self.port}"

    def hold(self, seconds: float | None = None) -> None:
        """Wait; without `seconds` as long as the tunnel lasts, not at all without one.

        Raises:
            MachineUnreachable: The tunnel was lost.
        """
        if self.tunnel is None:
            time.sleep(seconds or 0)
            return
        with suppress(subprocess.TimeoutExpired):
            self.tunnel.wait(seconds)
            raise MachineUnreachable(
                f"The tunnel to machine {self.machine} was lost ({_last_line(self.errors)}): run "
                "the same command again."
            )


@contextmanager
def tunnelled(
    machine: str, port: int, command: Sequence[str], explain: Callable[[int, str], CommandError]
) -> Iterator[Page]:
    """Hold an ssh tunnel to a machine's page.

    The command must print READY once it forwards `port`, and end when its standard input does:
    so the tunnel ends with this process, also if that is killed.

    Args:
        machine: The machine's name.
        port: The port of this computer's loopback.
        command: The ssh command.
        explain: Returns the error for an exit code and what was written to standard error.

    Yields:
        The page, once it answers.

    Raises:
        CommandError: The machine cannot be logged in to, or does not serve the page.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        tunnel = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert tunnel.stdin is not None  # noqa: S101
        assert tunnel.stdout is not None  # noqa: S101
        try:
            if not any(line.strip() == READY for line in tunnel.stdout):
                code = tunnel.wait()
                errors.seek(0)
                raise explain(code, errors.read())
            page = Page(port, machine, tunnel, errors)
            await_answer(page)
            yield page
        finally:
            tunnel.terminate()
            tunnel.stdin.close()
            tunnel.stdout.close()
            tunnel.wait()


def await_answer(page: Page) -> None:
    """Wait until the machine serves its page, 40 s at most.

    Raises:
        CommandError: It does not.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while not _answers(page.port):
        if time.monotonic() > deadline:
            raise CommandError(
                f"Machine {page.machine} does not serve the page yet: 'status' shows how far its "
                "installation is, 'logs --service web' why the page does not start."
            )
        page.hold(0.2)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("HEAD", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _last_line(errors: "IO[str] | None") -> str:
    if errors is None:
        return ""
    errors.seek(0)
    return visible((errors.read().strip().splitlines() or ["ssh ended"])[-1])
