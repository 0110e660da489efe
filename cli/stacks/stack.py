"""One Pulumi stack, driven through the Automation API with our `__main__.py` inline."""

import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.events import StepEventMetadata

from cli.engine.find import pulumi_root
from cli.engine.launcher import folder_with_launcher
from cli.errors import CommandError, DataGuarded
from cli.paths import CHECKOUT
from cli.stacks import late_uploads
from cli.stacks.events import Story
from cli.stacks.interrupt import left_to_the_engine
from cli.stacks.orphans import OWNER
from cli.stacks.remedies import remedy
from cli.stacks.target import StackHome
from cli.terminal import print_progress, spinner
from infra.errors import Refusal
from infra.names import PROJECT

_CLOUDS_FILE = "OS_CLIENT_CONFIG_FILE"
_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def run_program() -> None:
    """The Pulumi program itself, as bare `pulumi up` would run it."""
    runpy.run_path(str(CHECKOUT / "__main__.py"), run_name="__main__")


class Stack:
    """Preview, up, refresh, destroy and outputs of one stack; failures are CommandErrors."""

    def __init__(self, home: StackHome) -> None:
        self.home = home
        root = pulumi_root()
        environment = _environment(home, root / "bin")
        # The inline program runs in this process: it must see what the engine's children see.
        for name in [name for name in os.environ if name.startswith("OS_")]:
            if name != _CLOUDS_FILE:
                del os.environ[name]
        for name in _PASSPHRASE:  # one of the caller's would win over the stack's own
            if name not in environment:
                os.environ.pop(name, None)
        os.environ.update(environment)
        options = automation.LocalWorkspaceOptions(
            work_dir=str(home.folder),
            env_vars=environment,
            secrets_provider="passphrase",
            pulumi_command=automation.PulumiCommand(str(root)),
        )
        self._engine = self._sentence(
            lambda: automation.create_or_select_stack(home.name, PROJECT, run_program, opts=options)
        )

    def up(self) -> None:
        """Make, change and replace what the program asks for."""
        self._tell("Standing the pipeline up", self._engine.up)

    def preview(self) -> list[StepEventMetadata]:
        """Say what `up` would do; its steps, those that change nothing included."""
        title = "Looking at what would change"
        return self._tell(title, self._engine.preview, planning=True).steps

    def refresh(self) -> None:
        """Compare the state with the cloud and take over what is really there."""
        self._tell("Looking at what is really there", self._engine.refresh)

    def destroy(self, *, data: bool = False) -> None:
        """Remove everything the state knows.

        Raises DataGuarded, with nothing touched, where data is guarded and `data` is not set.
        """
        resources = self.resources()
        if any(resource.get("protect") for resource in resources):
            if not data:
                raise DataGuarded(self.home.name)
            self._lift_guard()
        title = "Taking the pipeline down"
        self._empty_again(resources)  # a former one was killed, or bare `pulumi destroy` failed
        try:
            self._tell(title, self._engine.destroy)
        except CommandError:
            if not self._empty_again(self.resources()):
                raise
            self._tell(title, self._engine.destroy)

    def outputs(self) -> dict[str, automation.OutputValue]:
        """The stack's outputs; empty where nothing stands."""
        return dict(self._sentence(self._engine.outputs))

    def forget_lock(self) -> None:
        """Drop the lock of an engine that was killed; the caller knows that none is at work."""
        try:
            self._engine.cancel()
        except automation.CommandError:
            return  # there was none

    def resources(self) -> list[dict[str, Any]]:
        """What the state knows, secrets still encrypted."""
        deployment = self._sentence(self._engine.export_stack).deployment or {}
        return list(deployment.get("resources") or [])

    def _empty_again(self, resources: Sequence[Mapping[str, Any]]) -> bool:
        """Whether something had come into a bucket that was emptied and could not be removed."""
        buckets = late_uploads.waiting_to_be_removed(resources)
        if not buckets:
            return False
        outputs = {name: output.value for name, output in self.outputs().items()}
        try:
            found = list(late_uploads.purge(buckets, outputs))
        except Refusal as error:
            raise CommandError(str(error)) from None
        for bucket in found:
            print_progress(
                f"Uploads came to bucket {bucket} after it had been emptied: emptied it again."
            )
        return bool(found)

    def _lift_guard(self) -> None:
        command = ["state", "unprotect", "--all", "--yes", "--stack", self.home.name]
        workspace = self._engine.workspace
        folder, environment = str(self.home.folder), dict(workspace.env_vars)
        self._sentence(lambda: workspace.pulumi_command.run(command, folder, environment))

    def _tell(
        self, title: str, operation: Callable[..., object], *, planning: bool = False
    ) -> Story:
        story = Story(planning=planning)
        with spinner(title) as screen:

            def hear(event: automation.EngineEvent) -> None:
                line = story.tell(event)
                if line:
                    print_progress(line)
                elif story.under_way:
                    screen.show(f"{title}: {', '.join(story.under_way.values())}")

            with left_to_the_engine():
                self._sentence(
                    lambda: operation(on_event=hear, suppress_outputs=True, color="never"), story
                )
        return story

    def _sentence(self, call: Callable[[], Any], story: Story | None = None) -> Any:
        try:
            return call()
        except automation.ConcurrentUpdateError:
            raise CommandError(
                f"Stack '{self.home.name}' is being changed by another command: wait for it to "
                "end; if none is running, 'pulumi cancel' lifts a dead one's lock."
            ) from None
        except automation.CommandError as error:
            lines = story.errors if story and story.errors else _error_lines(str(error))
            more = remedy("\n".join(lines), self.home.name)
            raise CommandError("\n".join([*lines, *([more] if more else [])])) from None


def _environment(home: StackHome, bin_folder: Path) -> dict[str, str]:
    """What the engine and its plugins need to find Python, our modules and the CLI."""
    python = Path(sys.executable)
    path = [str(folder_with_launcher(bin_folder)), str(bin_folder), str(python.parent)]
    return {
        "PATH": os.pathsep.join([*path, os.environ.get("PATH", "")]),
        "PYTHONPATH": str(CHECKOUT),
        "PULUMI_PYTHON_CMD": str(python),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        OWNER: str(os.getpid()),
        **home.environment,
    }


def _error_lines(text: str) -> list[str]:
    """The engine's own `error:` lines out of all that a failed command printed."""
    lines = [line.strip().removeprefix("stderr: ") for line in text.splitlines()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return list(dict.fromkeys(errors)) or [line for line in lines if line][-3:]
