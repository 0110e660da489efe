"""The tests of tests/machine on a guest with a kernel of its own.

Emulation is slow: TEST_PATIENCE, which `./pipeline test --qemu` sets, makes deadlines longer.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.machine import kinds
from local.machine.qemu.machine import QemuMachine, missing
from tests.machine import stacks
from tests.machine.conftest import pulumi
from tests.machine.guest import Guest

__all__ = ["pulumi"]

HERE = Path(__file__).parent
SUITES = ("bookworm",)  # one: each takes as long again, and what differs needs no kernel
_ran: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of the other Debian."""
    no = [one for one in items if HERE in one.path.parents and "[trixie" in one.name]
    items[:] = [one for one in items if one not in no]
    config.hook.pytest_deselected(items=no)


@pytest.fixture(scope="session")
def able() -> None:
    """Skip the test where this host cannot boot disk images."""
    if (lacking := missing()) is not None:
        pytest.skip(lacking)


@pytest.fixture(scope="session", params=SUITES)
def guest(request: pytest.FixtureRequest, able: None, pulumi: Path) -> Iterator[Guest]:
    """Yield the guest of a working stack."""
    del able
    began, suite = time.monotonic(), str(request.param)
    with stacks.working(kinds.QEMU, suite, pulumi) as made:
        assert isinstance(made.machine, QemuMachine)
        took = time.monotonic() - began
        _ran.append(f"{suite} with -accel {made.machine.accelerator}: drained after {took:.0f} s")
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what ran the guests."""
    for line in _ran:
        terminalreporter.write_line(f"QEMU: {line}")
