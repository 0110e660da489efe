"""A stack of the Automation API that starts the CLI only for what it is asked to do.

Pulumi's own classes also start it for its version, to select a stack that `--stack` names anyway,
and after each operation for outputs and history: 0.3 to 0.5 s a start, longer than a `preview` of
no change computes.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pulumi import automation
from pulumi.automation._stack import StackInitMode  # not exported, but asked for
from semver import VersionInfo

from cli.engine import VERSION
from cli.stacks import backend


def open_stack(
    name: str, folder: Path, root: Path, variables: Mapping[str, str], program: Callable[[], None]
) -> automation.Stack:
    """Return a stack, created where its backend does not have it.

    Args:
        name: The stack's name.
        folder: Has Pulumi.yaml.
        root: `bin/pulumi` is below it; at least VERSION.
        variables: The engine's environment, which names the backend.
        program: The inline program.

    Returns:
        The stack; its operations return neither outputs nor a summary.
    """
    workspace = _Workspace(
        work_dir=str(folder),
        program=program,
        env_vars=variables,
        secrets_provider="passphrase",
        pulumi_command=_Command(root),
    )
    return _Stack(name, workspace, StackInitMode.CREATE_OR_SELECT)


class _Command(automation.PulumiCommand):
    """The CLI, whose version cli/engine/find.py has checked."""

    def __init__(self, root: Path) -> None:
        self.command = str(root / "bin" / "pulumi")
        self.version = VersionInfo.parse(VERSION)


class _Workspace(automation.LocalWorkspace):
    def select_stack(self, stack_name: str) -> None:
        """Look for a stack, in the backend's folder if it is one."""
        file = backend.state_file(str(self.env_vars["PULUMI_BACKEND_URL"]), stack_name)
        if file is None:
            super().select_stack(stack_name)
        elif not file.exists():  # then it is created
            raise automation.StackNotFoundError(automation.CommandResult("", "", 1))

    def create_stack(self, stack_name: str) -> None:
        """Create a stack, unless the backend has it in another file than usual."""
        with suppress(automation.StackAlreadyExistsError):
            super().create_stack(stack_name)


class _Stack(automation.Stack):
    def outputs(self) -> automation.OutputMap:
        """Return none."""
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:
        """Return a summary without content."""
        del show_secrets
        return automation.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")
