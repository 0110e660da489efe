"""Every benchmark of `./pipeline bench --quick` runs; how long anything takes is not asserted.

A benchmark waits for a third of its time or more, so other processes run tests meanwhile.
"""

import os
import subprocess
import sys

import pytest

from bench import benchmarks
from tests.checkout import PROJECT


@pytest.mark.parametrize("name", benchmarks.QUICK)
def test_it_measures(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "bench", name, "--quick"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
