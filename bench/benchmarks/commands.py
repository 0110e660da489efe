"""Wall-clock time of `up`, `preview`, `destroy` and `demo`, against an earlier revision."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.benchmark import Result, Setup
from bench.errors import RevisionUnusable
from bench.revision import BASE, worktree
from bench.spread import with_spread
from bench.table import Table

TITLE = "Time of commands"
TEXT = f"""Wall-clock seconds of HEAD and of revision {BASE}, each from a checkout of its own with
its own packages, in turns on one computer: a local stack with a `process` machine. Pulumi's CLI is
installed, and each command has been run once before. Who is first changes with each turn. Ratios
are of one turn: below 1, HEAD takes less. The median, the least and the largest are given."""

COMMANDS = ("up", "preview", "destroy", "demo")


def measure(setup: Setup) -> Result:
    """Run each command in both checkouts, and repeat.

    Returns:
        The seconds of each command, and the ratios.

    Raises:
        RevisionUnusable: A revision cannot be checked out, or a command of it fails.
    """  # noqa: DOC502  raised by what it calls
    turns = 1 if setup.quick else 5
    found: list[list[dict[str, float]]] = []
    with ExitStack() as stack:
        sides = [
            stack.enter_context(_checkout(name, setup.folder / f"revision-{number}"))
            for number, name in enumerate(("HEAD", BASE))
        ]
        for side in sides:
            _seconds(side)
        for turn in range(turns):
            first = turn % 2
            used = {side: _seconds(sides[side]) for side in (first, 1 - first)}
            found.append([used[0], used[1]])
    lines, figures = [], {}
    for name in COMMANDS:
        ours, theirs = ([turn[side][name] for turn in found] for side in (0, 1))
        ratios = [mine / its for mine, its in zip(ours, theirs, strict=True)]
        times = (with_spread(each, 1) for each in (ours, theirs))
        lines.append([f"`./pipeline {name}`", *times, with_spread(ratios)])
        figures[f"{name}: ratio"] = median(ratios)
    columns = ["command", "HEAD", BASE, "ratio"]
    return Result([Table("", columns, lines)], figures, notes=[f"{turns} turns."])


@contextmanager
def _checkout(name: str, folder: Path) -> Iterator[Path]:
    """Check a revision out; nothing of its local stack is left, however the context ends."""
    with worktree(name, folder):
        try:
            yield folder
        finally:
            if (folder / ".local").exists():
                _run(folder, ["destroy"])


def _seconds(folder: Path) -> dict[str, float]:
    """Return the seconds that each command takes; the first call installs the packages."""
    found = {}
    for name in COMMANDS:
        started = time.monotonic()
        answer = _run(folder, [name])
        found[name] = time.monotonic() - started
        if answer.returncode:
            line = (answer.stderr.strip() or "no error message").splitlines()[-1]
            raise RevisionUnusable(f"'./pipeline {name}' of {folder.name} failed: {line}")
    return found


def _run(folder: Path, words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["./pipeline", *words], cwd=folder, check=False, capture_output=True, text=True
    )
