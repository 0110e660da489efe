"""The errors of the commands: one sentence and an exit code, never a traceback."""

import click

from worker.errors import PipelineError


class CommandError(PipelineError, click.ClickException):
    """A command cannot do what it was asked: the thing, the value and the remedy, in a sentence."""

    def show(self, file: object = None) -> None:
        """Print the message to standard error."""
        click.echo(f"pipeline: {self.message}", err=True)


class LockHeld(PipelineError):
    """Another process holds the lock on a folder."""


class DataGuarded(CommandError):
    """`protectData` is on and `destroy --data` was not asked for."""

    def __init__(self, stack: str) -> None:
        which = "" if stack == "local" else f" --stack {stack}"
        super().__init__(
            f"Stack '{stack}' guards its data (protectData: true), so nothing was removed: "
            f"'./pipeline destroy --data{which}' lifts the guard and removes buckets, database "
            "and all."
        )


class MachineUnreachable(CommandError):
    """The machine cannot be logged in to; the message tells why."""


class MachineNotReady(MachineUnreachable):
    """The machine answers, but its worker is not installed yet."""
