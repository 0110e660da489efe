"""Measure the memory of a process that negates one file."""

import subprocess
import sys
from pathlib import Path

from bench.benchmark import Setup

# ru_maxrss would begin with the parent's.
_PROGRAM = r"""
import re, sys
from pathlib import Path
from worker.transforms import negate
negate.negate_file(Path(sys.argv[1]), Path(sys.argv[2]), 250_000_000)
print(1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]))
"""


def peak_memory(setup: Setup, source: Path) -> float:
    """Negate a file in a process of its own.

    Args:
        setup: The benchmark's; the negative goes into its folder.
        source: The file.

    Returns:
        The largest resident set of the process, in bytes (`VmHWM`, proc(5)).

    Raises:
        CalledProcessError: The process failed.
    """  # noqa: DOC502  raised by what it calls
    answer = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, source, setup.folder / f"target{source.suffix}"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(setup.source)},
    )
    return float(answer.stdout)
