"""Seconds of the commands a person waits for: `up`, `destroy` and `demo` of the local stack.

    .venv/bin/python -m bench.commands [ROUNDS]

Prints the least, median and largest of each, wall clock, and names the machine. Nothing may stand
in this checkout: the local stack is made and taken down each round.
"""

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

from cli.places import CHECKOUT

COMMANDS = (["up"], ["preview"], ["destroy"], ["demo"])


def seconds(words: Sequence[str]) -> float:
    """How long `./pipeline words` takes; CalledProcessError if it fails."""
    started = time.monotonic()
    subprocess.run(["./pipeline", *words], cwd=CHECKOUT, check=True, capture_output=True)
    return time.monotonic() - started


def main(rounds: int) -> None:
    """Run the commands in turn, `rounds` times."""
    found: dict[str, list[float]] = {words[0]: [] for words in COMMANDS}
    for _ in range(rounds):
        for words in COMMANDS:
            found[words[0]].append(seconds(words))
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()},"
    )
    print(f"Python {platform.python_version()}, {rounds} rounds; seconds: least, median, largest")
    for name, times in found.items():
        print(f"{name:8} {min(times):6.1f} {statistics.median(times):6.1f} {max(times):6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
