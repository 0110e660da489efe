"""One guest for each suite, shared by all tests: a boot takes half a minute and more."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from cli.places import cache
from local.machine import container, container_tree
from tests.checkout import Checkout, make_checkout, open_folder
from tests.machine.guest import BOOT_SECONDS, Guest, eventually
from tests.machine.registry import free_port, serving, wheelhouse

LATE_REGISTRY = "trixie"


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The root of a Pulumi CLI."""
    return pulumi_root()


@pytest.fixture(scope="session")
def able() -> None:
    """This machine can boot containers."""
    if (lacking := container.missing()) is not None:
        pytest.skip(lacking)


@pytest.fixture(scope="session", params=container_tree.SUITES)
def guest(request: pytest.FixtureRequest, able: None, pulumi: Path) -> Iterator[Guest]:
    """A stack that works. trixie's met no registry at first: see test_first_boot.py."""
    del able
    suite = str(request.param)
    with ExitStack() as stack:
        checkout = make_checkout(stack.enter_context(open_folder()), pulumi)
        environment = {**checkout.environment, "XDG_CACHE_HOME": str(cache().parent)}
        port = free_port()
        if suite == LATE_REGISTRY:
            environment["PIP_INDEX_URL"] = f"http://127.0.0.1:{port}/simple"
            environment["PIP_TRUSTED_HOST"] = "127.0.0.1"
        made = Guest(Checkout(checkout.folder, environment), suite)
        stack.callback(lambda: made.checkout.pipeline("destroy", "--data", code=None))
        made.checkout.pipeline("up", "--machine", "container", "--suite", suite)
        if suite == LATE_REGISTRY:
            made.told_without_registry = _until_told(made)
            stack.enter_context(serving(wheelhouse(_python(made)), port))
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
