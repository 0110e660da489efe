"""A stack as the commands see it: the one on this machine, or one on a cloud."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import CommandError, Interrupted

if TYPE_CHECKING:
    from cli.machines.host import Host
    from cli.stacks.pulumi_stack import PulumiStack, Workspace
    from cli.stacks.strays import Stray

#: The stack on this machine; every other name is a stack on a cloud.
LOCAL = "local"


class Target(Protocol):
    """What the commands need of a stack. Two implementations: LocalStack and CloudStack."""

    @property
    def name(self) -> str:
        """The stack's name in Pulumi."""

    @property
    def exists(self) -> bool:
        """Whether something may be deployed."""

    def alone(self) -> AbstractContextManager[None]:
        """Lock out other commands.

        Raises:
            CommandError: Another command is changing the stack.
        """

    def check(self) -> None:
        """Check, before anything is changed, what would make `up` fail.

        Raises:
            CommandError: One sentence for each problem.
        """

    def open(self) -> "PulumiStack":
        """Return the stack, ready to be changed."""

    def require(self) -> "PulumiStack":
        """Return the stack, ready to be changed.

        Raises:
            CommandError: Nothing is deployed.
        """

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        """Return the deployed stack's outputs; without `show_secrets`, "[secret]" for each secret.

        Raises:
            CommandError: Nothing is deployed.
        """

    def workspace(self) -> "Workspace":
        """Return the stack's files and the environment by which the engine finds its state."""

    def strays(self) -> "Sequence[Stray]":
        """Return resources that carry the stack's names on the clouds but are not in its state."""

    def unclaimed_keys(self) -> str:
        """Return a warning about access keys that no known stack owns, or ""."""

    def drop_preview(self) -> None:
        """Delete what was made only to preview a stack that is not deployed."""

    def destroy(self, *, data: bool = False) -> None:
        """Delete everything; with `data`, also what protectData protects.

        Raises:
            DataGuarded: Data is protected and `data` not set; nothing was deleted.
            CommandError: Something could not be deleted, or strays are left.
        """

    def check_nothing_left(self) -> None:
        """Look on the clouds for resources of a stack that is not deployed.

        Raises:
            CommandError: There are strays.
        """

    def hosts(self) -> "Sequence[Host]":
        """Return the machines that run the worker.

        Raises:
            CommandError: Nothing is deployed, or another command is changing the stack.
        """


def command_line(words: str, stack: str = LOCAL) -> str:
    """Return a command as one would type it for this stack."""
    return f"./pipeline {words}" + ("" if stack == LOCAL else f" --stack {stack}")


@contextmanager
def explain_interrupt(stack: str) -> Iterator[None]:
    """Raise a KeyboardInterrupt as an Interrupted that says how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted; the state has what was done so far: "
            f"'{command_line('up', stack)}' continues from there, "
            f"'{command_line('destroy', stack)}' takes it down."
        ) from None


def require_finished(outputs: Mapping[str, Any], stack: str) -> None:
    """Check that an `up` of a stack has completed, which writes all outputs.

    Raises:
        CommandError: None has.
    """
    if "machineNames" not in outputs:
        raise CommandError(
            f"The last 'up' of stack '{stack}' has not completed: '{command_line('up', stack)}' "
            "continues it."
        )


def not_deployed(stack: str) -> CommandError:
    """Return the error of a command that needs a deployed stack."""
    what = "The local stack" if stack == LOCAL else f"Stack '{stack}'"
    return CommandError(f"{what} is not deployed: '{command_line('up', stack)}' deploys it.")
