"""`./pipeline test`: which suites there are and how they are run."""

import subprocess
import sys
from collections.abc import Sequence

from cli.places import CHECKOUT
from cli.screen import say

QUICK = ("lint", "unit", "worker", "engine")
LONG = ("faults", "machine", "fuzz", "openstack")


def run(*, everything: bool, extra: Sequence[str]) -> int:
    """Run the suites in one pytest, which says what it skips and why; pytest's exit code."""
    wanted = [*QUICK, *(LONG if everything else ())]
    present = [name for name in wanted if (CHECKOUT / "tests" / name).is_dir()]
    for name in sorted(set(wanted) - set(present)):
        say(f"tests/{name} is not written yet.")
    if not everything:
        say(f"Left to './pipeline test --all': {', '.join(LONG)}.")
    command = [sys.executable, "-m", "pytest", *(f"tests/{name}" for name in present), *extra]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode
