"""Stacks with one kind of machine, and machines without a stack, for the time of tests."""

import base64
import gzip
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from cli.paths import cache_folder
from local.machine import kinds
from local.machine.kinds import MachineKind
from local.machine.machine import BootedMachine
from tests.checkout import Checkout, make_checkout, open_folder
from tests.engine.snapshot import take_snapshot
from tests.machine import guardian
from tests.machine.guest import BOOT_SECONDS, PIPELINES, SECRET, Guest, eventually
from tests.machine.registry import locked, serving, wheelhouse
from tests.ports import reserved_port

LATE_REGISTRY = "trixie"
#: The suite whose machine is reached from outside too; the other one has the defaults.
INTERFACES = "trixie"
WAYS_IN = """\
  image-pipeline:upload: {cidrs: [192.0.2.0/24], maxFileMb: 10}
  image-pipeline:mqtt:
    cidrs: [192.0.2.0/24]
    cameras: {door: {pipeline: negatives}, gate: {pipeline: negatives}}
"""
_SET_SECRET = """
import sys
from cli.machines import machine_kind
from cli.stacks.local_stack import LocalStack
local = LocalStack()
machine_kind.choose(local, *sys.argv[1:])
stack = local.open()
stack.create()
stack.set_secret("probe-token", sys.stdin.read())
"""
USER_DATA = base64.b64encode(gzip.compress(b"#cloud-config\n{}\n")).decode()


@contextmanager
def booting(kind: MachineKind) -> Iterator[BootedMachine]:
    """Yield a machine without a stack that has begun to boot; check that it leaves nothing."""
    with open_folder() as base:
        before, folder = take_snapshot(base), base / "machines" / str(uuid4())
        kinds.start(folder, kind, "vm", USER_DATA, "")
        made = kinds.load(folder)
        assert isinstance(made, BootedMachine)
        try:
            yield made
        finally:
            kinds.stop(folder)
        assert not folder.exists()
        assert take_snapshot(base).left_since(before) == {}


@contextmanager
def stack(kind: str, suite: str, pulumi: Path, **environment: str) -> Iterator[Guest]:
    """Yield a stack whose machine has begun to boot; it is removed even if the tests are killed."""
    with open_folder() as base, guardian.watching(base):
        checkout = make_checkout(base, pulumi)
        known = {
            **checkout.environment,
            "XDG_CACHE_HOME": str(cache_folder().parent),
            **environment,
        }
        made = Guest(Checkout(checkout.folder, known), suite)
        (checkout.folder / "pipelines.local.yaml").write_text(PIPELINES, encoding="utf-8")
        if suite == INTERFACES:
            settings = checkout.folder / "Pulumi.local.yaml"
            settings.write_text(settings.read_text("utf-8") + WAYS_IN, encoding="utf-8")
        requirements = checkout.folder / "tests/machine/probe/requirements.txt"
        requirements.write_text(locked("typing-extensions"), encoding="utf-8")
        try:
            set_secret(made.checkout, kind, suite)
            made.checkout.pipeline("up", "--machine", kind, "--suite", suite)
            yield made
        finally:
            made.checkout.pipeline("destroy", "--data", code=None)


def set_secret(checkout: Checkout, kind: str, suite: str) -> None:
    """Set the secret of the pipeline `offline`, as `pulumi config set --secret` does."""
    subprocess.run(
        [checkout.folder / ".venv/bin/python", "-c", _SET_SECRET, kind, suite],
        cwd=checkout.folder,
        env=checkout.environment,
        input=SECRET,
        text=True,
        check=True,
    )


@contextmanager
def working(kind: str, suite: str, pulumi: Path) -> Iterator[Guest]:
    """Yield a working stack; trixie's finds no registry at first, see test_first_boot.py."""
    with ExitStack() as until:
        late, port = suite == LATE_REGISTRY, reserved_port()
        nobody = {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
        environment = {**nobody, "PIP_TRUSTED_HOST": "127.0.0.1"} if late else {}
        made = until.enter_context(stack(kind, suite, pulumi, **environment))
        if late:
            made.status_without_registry = _status_of_failure(made)
            until.enter_context(serving(wheelhouse(_python(made)), port))
        eventually(made.is_working, BOOT_SECONDS, "a machine that has drained")
        yield made


def _status_of_failure(guest: Guest) -> str:
    """What `status` shows once the installation has failed."""

    def failure() -> str:
        answer = guest.checkout.pipeline("status", code=None)
        text = answer.stdout + answer.stderr
        # Debian's packages are installed at the same time: the last lines may at first be theirs,
        # without pip's reason.
        is_shown = "pipeline-install: failed" in text and "No matching distribution" in text
        return text if is_shown else ""

    return str(eventually(failure, BOOT_SECONDS, "status shows the failed installation"))


def _python(guest: Guest) -> str:
    return guest.shell("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
