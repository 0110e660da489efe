"""One guest for each Debian, shared by all tests: a first boot takes half a minute and more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from local.machine import debian_tree, kinds
from local.machine.nspawn.machine import missing
from tests.machine import stacks
from tests.machine.guest import Guest


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """Return the root folder of a Pulumi CLI."""
    return pulumi_root()


@pytest.fixture(scope="session")
def able() -> None:
    """Skip the test where this host cannot boot containers."""
    if (lacking := missing()) is not None:
        pytest.skip(lacking)


@pytest.fixture(scope="session", params=debian_tree.SUITES)
def guest(request: pytest.FixtureRequest, able: None, pulumi: Path) -> Iterator[Guest]:
    """Yield the guest of a working stack."""
    del able
    with stacks.working(kinds.NSPAWN, str(request.param), pulumi) as made:
        yield made
