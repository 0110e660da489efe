"""Run the tests: lint, unit, worker, edge and engine.

Skipped tests are listed with the reason.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

import click

from cli.errors import CommandError
from cli.paths import CHECKOUT
from cli.terminal import print_progress
from local.machine.qemu import machine as emulated

FAULTS = "faults"
OPENSTACK = "openstack"
PICTURES = "pictures"
QEMU = "qemu"
# In the order in which they begin: the longest first, so that no process ends long before another.
QUICK = ("lint", "engine", "edge", "worker", "unit")
LONG = (
    OPENSTACK,
    "machine",
    "bench",
    "faults",
    "mqtt",
    PICTURES,
    "page",
    "examples",
    "clients",
    "containers",
    "recovery",
    "fuzz",
)
_PROCESSES = 4  # at most; each starts its own servers
_PROCESSES_PER_CORE = 2  # for half of their time tests wait: for boots, timers, services
_QEMU_PATIENCE = "8"  # by how much an emulated machine is slower than deadlines of tests assume


@click.command(help=__doc__)
@click.option("--all", "everything", is_flag=True, help="Add the long suites.")
@click.option("--openstack", is_flag=True, help="Only the suite against real OpenStack and Ceph.")
@click.option("--faults", is_flag=True, help="Only the faults, in every combination; an hour.")
@click.option("--pictures", is_flag=True, help="Only the pictures, all of the matrices; minutes.")
@click.option("--qemu", is_flag=True, help="Only the suite on an emulated machine; long.")
@click.argument("pytest_arguments", nargs=-1)
def command(  # noqa: PLR0917  click passes them by name
    everything: bool,
    openstack: bool,
    faults: bool,
    pictures: bool,
    qemu: bool,
    pytest_arguments: tuple[str, ...],
) -> None:
    asked = {"everything": everything, "openstack": openstack, "faults": faults}
    sys.exit(run(**asked, pictures=pictures, qemu=qemu, extra=pytest_arguments))


def run(
    *,
    everything: bool,
    openstack: bool,
    faults: bool,
    pictures: bool,
    qemu: bool,
    extra: Sequence[str],
) -> int:
    """Run test suites in one pytest, on several processes; `-- -n0` runs them in one.

    Args:
        everything: Add the long suites, except QEMU's.
        openstack: Run that suite only, unless `everything` is set.
        faults: Run that suite only, and every cell of its tables (tests/faults/selection.py).
        pictures: Run that suite only, and every picture of its matrices (tests/pictures).
        qemu: Run that suite only.
        extra: More arguments of pytest.

    Returns:
        The exit code of pytest.

    Raises:
        CommandError: If the machine lacks what the QEMU suite needs.
    """
    wanted = [*(LONG if everything else ()), *QUICK]
    if openstack and not everything:
        wanted = [OPENSTACK]
    if faults:
        wanted = [FAULTS]
    if pictures:
        wanted = [PICTURES]
    environment = dict(os.environ)
    if qemu:
        if (lacking := emulated.missing()) is not None:
            raise CommandError(lacking)
        wanted = [QEMU]
        environment = {"TEST_PATIENCE": _QEMU_PATIENCE, **environment}
    present = [name for name in wanted if (CHECKOUT / "tests" / name).is_dir()]
    for name in sorted(set(wanted) - set(present)):
        print_progress(f"tests/{name} does not exist.")
    pytest = [sys.executable, "-m", "pytest", *(f"tests/{name}" for name in present)]
    if wanted == [*QUICK]:
        print_progress(f"Not run without --all: {', '.join(LONG)}, and tests marked 'long'.")
        pytest += ["-m", "not long"]
    if wanted == [OPENSTACK]:
        # Installing OpenStack takes minutes, once: here before the tests. Together with other
        # suites it is a fixture, and other processes run tests meanwhile.
        prepare = [sys.executable, "-m", "tests.openstack.services", "prepare"]
        subprocess.run(prepare, cwd=CHECKOUT, check=False)
    if faults:
        pytest.append("--faults")
    if pictures:
        pytest.append("--pictures")
    processes = 1
    if len(wanted) > 1 or faults:
        processes = min(_PROCESSES, _PROCESSES_PER_CORE * (os.cpu_count() or 1))
    if processes > 1:
        pytest += [f"--numprocesses={processes}", "--dist=loadscope", "--no-loadscope-reorder"]
    pytest += extra
    return subprocess.run(pytest, cwd=CHECKOUT, env=environment, check=False).returncode
