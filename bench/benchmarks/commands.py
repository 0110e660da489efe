"""Wall-clock time of `up`, `preview`, `destroy` and `demo`.

The checkout must have no local stack: each round deploys and destroys it.
"""

import statistics
import subprocess
import time
from collections.abc import Sequence

from bench.benchmark import Result, Setup
from bench.table import Table
from cli.errors import CommandError
from cli.paths import CHECKOUT
from cli.stacks.local_stack import LocalStack

TITLE = "Time of commands"
TEXT = """Wall-clock seconds, with Pulumi's CLI and the packages installed; local stack with a
`process` machine."""

_COMMANDS = (["up"], ["preview"], ["destroy"], ["demo"])


def measure(setup: Setup) -> Result:
    """Run each command, one after the other, and repeat."""
    if LocalStack().exists:
        raise CommandError(
            "A local stack is deployed in this checkout, and this benchmark deploys its own: "
            "take it down first with './pipeline destroy'."
        )
    found: dict[str, list[float]] = {words[0]: [] for words in _COMMANDS}
    for _ in range(1 if setup.quick else 3):
        for words in _COMMANDS:
            found[words[0]].append(_seconds(words))
    lines = [
        [f"`./pipeline {name}`"]
        + [f"{value:.1f}" for value in (min(times), statistics.median(times), max(times))]
        for name, times in found.items()
    ]
    return Result([Table("", ["command", "least", "median", "largest"], lines)], {})


def _seconds(words: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(["./pipeline", *words], cwd=CHECKOUT, check=True, capture_output=True)
    return time.monotonic() - started
