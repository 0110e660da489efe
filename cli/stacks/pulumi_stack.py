"""One Pulumi stack: read through the CLI, changed through the Automation API.

The Automation API is imported inside: it takes half a second, and commands that only read a stack
do without.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.engine.find import pulumi_root
from cli.engine.launcher import folder_with_launcher
from cli.errors import CommandError, DataGuarded
from cli.paths import CHECKOUT
from cli.stacks import backend
from cli.stacks.engine_processes import OWNER, finish_after_interrupt
from cli.stacks.program import Program
from cli.terminal import print_progress, spinner
from infra.names import PROJECT

if TYPE_CHECKING:
    from pulumi import automation
    from pulumi.automation.events import EngineEvent, StepEventMetadata

    from cli.stacks.progress import Progress

CLOUDS_FILE = "OS_CLIENT_CONFIG_FILE"
_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
#: Type of a bucket -> the output that has its name.
BUCKET_NAMES = {
    "openstack:objectstorage/container:Container": "name",
    "aws:s3/bucket:Bucket": "bucket",
}
_CONTENTS = "pulumi-python:dynamic:BucketContents"


@dataclass(frozen=True)
class Workspace:
    """A stack's files, and the environment by which the engine finds its state.

    Attributes:
        name: The stack's name.
        folder: Has Pulumi.yaml and Pulumi.<name>.yaml.
        environment: Backend, passphrase, clouds.yaml.
    """

    name: str
    folder: Path
    environment: Mapping[str, str]


class PulumiStack:
    """A stack in its workspace. Every failure of the engine is raised as a CommandError."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._program = Program()
        self._root = pulumi_root()
        self._variables = _variables(workspace, self._root / "bin")

    def prepare(self) -> None:
        """Create the stack where it is not there yet; begin to import what its program needs."""
        self._program.begin_import()
        _ = self._engine

    def up(self) -> None:
        """Create, update and replace resources as the program declares them."""
        self.prepare()
        self._run("Deploying the pipeline", self._engine.up)

    def preview(self) -> "list[StepEventMetadata]":
        """Print what `up` would do; return its steps, those that change nothing included."""
        self.prepare()
        return self._run("Comparing with the settings", self._engine.preview, planning=True).steps

    def refresh(self) -> None:
        """Compare the state with the clouds and record what is really there."""
        self._run("Comparing with the clouds", self._engine.refresh)

    def destroy(self, *, data: bool = False) -> None:
        """Delete everything that the state has.

        Args:
            data: Also what protectData protects.

        Raises:
            DataGuarded: Data is protected and `data` not set; nothing was deleted.
            CommandError: The engine failed.
        """
        resources = self.resources()
        if any(resource.get("protect") for resource in resources):
            if not data:
                raise DataGuarded(self.workspace.name)
            self._pulumi("state", "unprotect", "--all", "--yes")
        title = "Deleting the pipeline"
        self._purge_late_uploads(resources)  # an earlier destroy was killed, or `pulumi destroy`
        try:
            self._run(title, self._engine.destroy)
        except CommandError:
            if not self._purge_late_uploads(self.resources()):
                raise
            self._run(title, self._engine.destroy)

    def outputs(self, *, show_secrets: bool = True) -> dict[str, Any]:
        """Return the stack's outputs; {} where nothing is deployed.

        Args:
            show_secrets: False gives "[secret]" in place of each secret.
        """
        secrets = ["--show-secrets"] if show_secrets else []
        answer = self._read("stack", "output", "--json", *secrets)
        return dict(json.loads(answer)) if answer else {}

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources in the state, secrets encrypted."""
        url, name = self.workspace.environment["PULUMI_BACKEND_URL"], self.workspace.name
        with suppress(OSError, ValueError):  # a missing or malformed file: the engine explains it
            if backend.state_file(url, name):
                return backend.resources(url, name)
        answer = self._read("stack", "export")
        deployment = json.loads(answer)["deployment"] if answer else {}
        return list(deployment.get("resources") or [])

    def unprotect(self, urns: Sequence[str]) -> None:
        """Let the next `up` delete resources that the program no longer declares."""
        for urn in urns:
            self._pulumi("state", "unprotect", urn, "--yes")

    def create(self) -> None:
        """Create the stack in its backend where it is not there yet."""
        _ = self._engine

    def set_secret(self, name: str, value: str) -> None:
        """Set a secret setting of the stack, which must exist; the engine encrypts it."""
        self._pulumi("config", "set", "--secret", f"{PROJECT}:{name}", typed=value)

    def drop_lock(self) -> None:
        """Drop the lock of an engine that was killed; the caller knows that none runs."""
        # There may be no lock, or no stack yet.
        self._subprocess("cancel", "--yes")

    @cached_property
    def _engine(self) -> "automation.Stack":
        from cli.stacks.automation_stack import open_stack

        name, folder = self.workspace.name, self.workspace.folder
        with _process_environment(self._variables):
            stack: automation.Stack = self._translate(
                lambda: open_stack(name, folder, self._root, self._variables, self._program.run)
            )
        return stack

    def _run(
        self, title: str, operation: Callable[..., Any], *, planning: bool = False
    ) -> "Progress":
        """Run an operation of the engine and print its progress."""
        from cli.stacks.progress import Progress

        progress = Progress(planning=planning)
        with spinner(title) as screen:

            def on_event(event: "EngineEvent") -> None:
                line = progress.add(event)
                if line:
                    print_progress(line)
                elif progress.running:
                    screen.show(f"{title}: {', '.join(progress.running.values())}")

            with finish_after_interrupt(), _process_environment(self._variables):
                self._translate(
                    lambda: operation(on_event=on_event, suppress_outputs=True, color="never"),
                    progress,
                )
        return progress

    def _translate(self, call: "Callable[[], Any]", progress: "Progress | None" = None) -> Any:
        """Raise what the Automation API raises as a CommandError."""
        from pulumi import automation

        from cli.stacks.messages import error_lines

        try:
            return call()
        except automation.ConcurrentUpdateError:
            raise self._locked() from None
        except automation.CommandError as error:
            lines = progress.errors if progress and progress.errors else error_lines(str(error))
            raise self._failure(lines) from None

    def _read(self, *words: str) -> str:
        """Return what a `pulumi` command prints, "" where the backend has no such stack."""
        answer = self._subprocess(*words)
        if answer.returncode == 0:
            return answer.stdout
        if "no stack named" in answer.stderr:
            return ""
        raise self._command_failure(answer.stderr)

    def _pulumi(self, *words: str, typed: str = "") -> None:
        answer = self._subprocess(*words, typed=typed)
        if answer.returncode != 0:
            raise self._command_failure(answer.stderr)

    def _subprocess(self, *words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        with _process_environment(self._variables):
            return subprocess.run(
                [
                    str(self._root / "bin" / "pulumi"),
                    *words,
                    *("--stack", self.workspace.name, "--non-interactive"),
                ],
                cwd=self.workspace.folder,
                check=False,
                capture_output=True,
                text=True,
                input=typed,
            )

    def _command_failure(self, printed: str) -> CommandError:
        from cli.stacks.messages import error_lines

        if "the stack is currently locked" in printed:
            return self._locked()
        return self._failure(error_lines(printed))

    def _failure(self, lines: Sequence[str]) -> CommandError:
        from cli.stacks.messages import advice

        more = advice("\n".join(lines), self.workspace.name)
        return CommandError("\n".join([*lines, *([more] if more else [])]))

    def _locked(self) -> CommandError:
        return CommandError(
            f"Stack '{self.workspace.name}' is being changed by another command: wait for it to "
            "end; if none is running, 'pulumi cancel' drops the lock that a killed one left."
        )

    def _purge_late_uploads(self, resources: Sequence[Mapping[str, Any]]) -> bool:
        """Empty buckets that got uploads after they were emptied, and before they were deleted.

        Returns:
            Whether any had.
        """
        buckets = _buckets_without_contents(resources)
        outputs = self.outputs() if buckets else {}
        if "s3SecretKey" not in outputs:  # `up` never got that far: no keys exist
            return False
        from clients import s3
        from clients.errors import InfraError

        store = s3.client(
            {
                "endpoint": outputs["s3Endpoint"],
                "store_region": "",
                "access_key": outputs["s3AccessKey"],
                "secret_key": outputs["s3SecretKey"],
            }
        )
        try:
            purged = [bucket for bucket in buckets if s3.purge(store, bucket)]
        except InfraError as error:
            raise CommandError(str(error)) from None
        for bucket in purged:
            print_progress(
                f"Uploads came to bucket {bucket} after it had been emptied: emptied it again."
            )
        return bool(purged)


def _variables(workspace: Workspace, bin_folder: Path) -> dict[str, str]:
    """Return what the engine and its plugins need to find Python, our modules and the CLI."""
    python = Path(sys.executable)
    path = [str(folder_with_launcher()), str(bin_folder), str(python.parent)]
    return {
        "PATH": os.pathsep.join([*path, os.environ.get("PATH", "")]),
        "PYTHONPATH": str(CHECKOUT),
        "PULUMI_PYTHON_CMD": str(python),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        OWNER: str(os.getpid()),
        **workspace.environment,
    }


@contextmanager
def _process_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Give this process the engine's environment: the inline program runs in it.

    Without OS_* variables, which would fill gaps of clouds.yaml's entries, and without a passphrase
    of the caller's, which would win over the stack's own.
    """
    before = dict(os.environ)
    for name in before:
        if (name.startswith("OS_") and name != CLOUDS_FILE) or name in _PASSPHRASE:
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _buckets_without_contents(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the state's buckets that nothing will empty: their BucketContents are deleted."""
    emptied_later, names = set(), []
    for each in resources:
        if each.get("external"):  # adopted: only read, never this stack's to empty
            continue
        kind, outputs = each["type"], each.get("outputs", {})
        if kind == _CONTENTS:
            emptied_later.add(outputs.get("bucket"))
        elif kind in BUCKET_NAMES:
            names.append(str(outputs.get(BUCKET_NAMES[kind])))
    return [name for name in names if name not in emptied_later]
