"""The errors of the commands: one sentence and an exit code, never a traceback."""

import errno
import os
import signal

import click

from cli.terminal import print_progress, visible
from worker.errors import PipelineError


class CommandError(PipelineError, click.ClickException):
    """A command failed; the message is one sentence with the problem, the value and the remedy."""

    def show(self, file: object = None) -> None:
        """Print the message to standard error."""
        print_progress(f"pipeline: {self.message}")


class Interrupted(CommandError):
    """The user pressed Ctrl-C; the exit code is a shell's for SIGINT."""

    exit_code = 128 + signal.SIGINT

    def __init__(self, message: str = "Interrupted.") -> None:
        super().__init__(message)


class DataGuarded(CommandError):
    """`protectData` is on and `destroy` was run without `--data`."""

    def __init__(self, stack: str) -> None:
        which = "" if stack == "local" else f" --stack {stack}"
        super().__init__(
            f"Stack '{stack}' guards its data (protectData: true), so nothing was removed: "
            f"'./pipeline destroy --data{which}' lifts the guard and removes buckets, database "
            "and all."
        )


class MachineUnreachable(CommandError):
    """Login to the machine failed; the message says why."""


class MachineNotReady(MachineUnreachable):
    """The machine answers, but its worker is not installed yet."""


class WorkerFailed(CommandError):
    """A worker's command failed on a machine.

    Attributes:
        reason: The last line that it wrote to standard error.
    """

    def __init__(self, command: str, machine: str, reason: str) -> None:
        super().__init__(f"`worker {command}` failed on machine {machine}: {reason}")
        self.reason = reason


_REMEDIES = {
    errno.EACCES: "make it accessible or name another",
    errno.EPERM: "make it accessible or name another",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "free some space, then run the same command again",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.EEXIST: "remove it or name another",
    errno.ENOENT: "name an existing one",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
}


def file_error(error: OSError) -> CommandError:
    """Return the sentence for a file or folder of this computer that cannot be used."""
    name = visible(os.fsdecode(error.filename))
    remedy = _REMEDIES.get(error.errno or 0)
    return CommandError(f"'{name}': {error.strerror}" + (f"; {remedy}." if remedy else "."))
