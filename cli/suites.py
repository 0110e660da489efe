"""`./pipeline test`: which suites there are and how they are run."""

import subprocess
import sys
from collections.abc import Sequence

from cli.places import CHECKOUT
from cli.screen import say

QUICK = ("lint", "unit", "worker", "engine")
OPENSTACK = "openstack"
LONG = ("faults", "machine", "fuzz", OPENSTACK)


def run(*, everything: bool, openstack: bool, extra: Sequence[str]) -> int:
    """Run the suites in one pytest, which says what it skips and why; pytest's exit code.

    `openstack`: that suite alone, unless `everything` is asked for.
    """
    wanted = [*QUICK, *(LONG if everything else ())]
    if openstack and not everything:
        wanted = [OPENSTACK]
    present = [name for name in wanted if (CHECKOUT / "tests" / name).is_dir()]
    for name in sorted(set(wanted) - set(present)):
        say(f"tests/{name} is not written yet.")
    if wanted == [*QUICK]:
        say(f"Left to './pipeline test --all': {', '.join(LONG)}.")
    if OPENSTACK in present:
        # Minutes, once: told apart from the time that tests take. What fails here fails there.
        prepare = [sys.executable, "-m", "tests.openstack.services", "prepare"]
        subprocess.run(prepare, cwd=CHECKOUT, check=False)
    command = [sys.executable, "-m", "pytest", *(f"tests/{name}" for name in present), *extra]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode
