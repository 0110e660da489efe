"""A stack as the commands see it: one on this machine, or one on a cloud."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cli.errors import CommandError

if TYPE_CHECKING:
    from cli.machines.machine import Host
    from cli.stacks.stack import Stack
    from cli.stacks.strays import Stray

LOCAL = "local"
"""The stack on this machine; every other name is a stack on a cloud."""


@dataclass(frozen=True)
class StackHome:
    """Where a stack's settings and state are, and by which environment the engine finds them."""

    name: str
    folder: Path  # has Pulumi.yaml and Pulumi.<name>.yaml
    environment: Mapping[str, str]


class Target(Protocol):
    """What every command needs of a stack; two implementations, LocalStack and CloudStack."""

    @property
    def name(self) -> str:
        """As Pulumi knows it."""

    @property
    def exists(self) -> bool:
        """Whether something may be standing."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other commands out; raises CommandError where one is at work."""

    def check(self) -> None:
        """Refuse an `up` that is known to fail; raises CommandError, with nothing touched."""

    def open(self) -> "Stack":
        """The stack, made if need be."""

    def require(self) -> "Stack":
        """The standing stack; raises CommandError where there is none."""

    def home(self) -> StackHome:
        """Where settings and state are, and by which environment the engine finds them."""

    def strays(self) -> "Sequence[Stray]":
        """What its clouds have under its names and its state does not know."""

    def unclaimed_keys(self) -> str:
        """A sentence on the store's keys that no stack knows, which may be anybody's; else ""."""

    def forget_preview(self) -> None:
        """Leave nothing of a stack that was made only to preview it."""

    def destroy(self, *, data: bool = False) -> None:
        """Take everything down; raises DataGuarded where data is guarded and `data` not set."""

    def hosts(self) -> "Sequence[Host]":
        """The machines that run the worker; raises CommandError where nothing stands."""


def command_line(words: str, stack: str = LOCAL) -> str:
    """A command as a person would type it for this stack."""
    return f"./pipeline {words}" + ("" if stack == LOCAL else f" --stack {stack}")


@contextmanager
def told_if_interrupted(stack: str) -> Iterator[None]:
    """Say what to do after a Ctrl-C: raises CommandError for KeyboardInterrupt."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandError(
            f"Interrupted; what was done so far is recorded: '{command_line('up', stack)}' goes on "
            f"from there, '{command_line('destroy', stack)}' takes it down."
        ) from None


def nothing_stands(stack: str) -> CommandError:
    """What to say where a command needs a standing stack."""
    what = "No local pipeline" if stack == LOCAL else f"Nothing of stack '{stack}'"
    return CommandError(f"{what} is standing: '{command_line('up', stack)}' makes it.")
