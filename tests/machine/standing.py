"""A stack of one kind of machine, or a machine alone, for as long as tests want it."""

import base64
import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from cli.paths import cache_folder
from local.machine import kinds
from local.machine.kinds import MachineKind
from local.machine.machine import BootedMachine
from tests.checkout import Checkout, make_checkout, open_folder
from tests.engine.traces import traces
from tests.machine import guardian
from tests.machine.guest import BOOT_SECONDS, Guest, eventually
from tests.machine.registry import free_port, serving, wheelhouse

LATE_REGISTRY = "trixie"
USER_DATA = base64.b64encode(gzip.compress(b"#cloud-config\n{}\n")).decode()


@contextmanager
def booting(kind: MachineKind) -> Iterator[BootedMachine]:
    """A machine alone, at the beginning of its boot. It leaves nothing."""
    with open_folder() as base:
        before, folder = traces(base), base / "machines" / str(uuid4())
        kinds.start(folder, kind, "vm", USER_DATA, "")
        made = kinds.load(folder)
        assert isinstance(made, BootedMachine)
        try:
            yield made
        finally:
            kinds.stop(folder)
        assert not folder.exists()
        assert traces(base).left_since(before) == {}


@contextmanager
def stack(kind: str, suite: str, pulumi: Path, **environment: str) -> Iterator[Guest]:
    """One whose machine has begun to boot. It goes with whoever asked for it, killed or not."""
    with open_folder() as base, guardian.watching(base):
        checkout = make_checkout(base, pulumi)
        known = {
            **checkout.environment,
            "XDG_CACHE_HOME": str(cache_folder().parent),
            **environment,
        }
        made = Guest(Checkout(checkout.folder, known), suite)
        try:
            made.checkout.pipeline("up", "--machine", kind, "--suite", suite)
            yield made
        finally:
            made.checkout.pipeline("destroy", "--data", code=None)


@contextmanager
def working(kind: str, suite: str, pulumi: Path) -> Iterator[Guest]:
    """One that works. trixie's met no registry at first: see test_first_boot.py."""
    with ExitStack() as until:
        late, port = suite == LATE_REGISTRY, free_port()
        nobody = {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple"}
        environment = {**nobody, "PIP_TRUSTED_HOST": "127.0.0.1"} if late else {}
        made = until.enter_context(stack(kind, suite, pulumi, **environment))
        if late:
            made.told_without_registry = _until_told(made)
            until.enter_context(serving(wheelhouse(_python(made)), port))
        eventually(made.working, BOOT_SECONDS, "a machine that has drained")
        yield made


def _until_told(guest: Guest) -> str:
    """What `status` says once the installation has failed."""

    def told() -> str:
        answer = guest.checkout.pipeline("status", code=None)
        text = answer.stdout + answer.stderr
        return text if "pipeline-install: failed" in text else ""

    return str(eventually(told, BOOT_SECONDS, "status tells of the failing installation"))


def _python(guest: Guest) -> str:
    return guest.root("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
