"""Phases of a machine's first boot.

First `./pipeline up --machine container --suite SUITE`, and once it works `./pipeline put PHOTO`
right after `up` for the last line. Seconds are the guest's own, since its systemd began; a phase
ends when its mark is in the guest's journal.
"""

import json
from fnmatch import fnmatch

from bench.benchmark import Result, Setup
from bench.table import Table
from cli.errors import CommandError
from cli.paths import LocalPaths
from local.cloud import LocalCloud
from local.machine.nspawn.machine import NspawnMachine

TITLE = "Phases of the first boot"
TEXT = """Seconds since the guest's systemd began, of the running `container` machine."""

#: Ends of phases: unit whose journal is read, text of the line that marks the end, phase's name.
_MARKS = (
    ("cloud-final", "Finished", "cloud-init"),
    # Revisions that took pip from `python3-venv` installed that first.
    ("pipeline-install", "Installing the worker's Python packages", "worker downloaded"),
    ("pipeline-install", "Finished", "Python packages"),
    ("pipeline-migrate", "Finished", "migrate"),
    ("pipeline-worker@*", '"event": "done"', "first negative"),
    ("pipeline-worker@*", '"event": "pass"', "first pass"),
    ("pipeline-postinstall", "Finished", "extras (nothing waits for them)"),
)


def measure(_request: Setup) -> Result:
    """Report the phases of the machine that is running."""
    for machine in LocalCloud(LocalPaths().cloud).machines():
        if isinstance(machine, NspawnMachine):
            columns = ["phase ends with", "at, s", "took, s"]
            return Result([Table(machine.name, columns, _phases(machine))], {})
    raise CommandError("No container runs: './pipeline up --machine container' starts one.")


def _phases(machine: NspawnMachine) -> list[list[str]]:
    answer = machine.run_command(
        ["journalctl", "-b", "--no-pager", "-o", "json", "-u", "cloud-*", "-u", "pipeline-*"]
    )
    entries = [json.loads(line) for line in answer.stdout.splitlines()]
    start = int(
        machine.run_command(["systemctl", "show", "-P", "UserspaceTimestampMonotonic"]).stdout
    )
    last, lines = 0.0, []
    for unit, words, name in _MARKS:
        for entry in entries:
            of = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT"))
            if fnmatch(of, f"{unit}.service") and words in str(entry["MESSAGE"]):
                at = (int(entry["__MONOTONIC_TIMESTAMP"]) - start) / 1e6
                lines.append([name, f"{at:.1f}", f"{at - last:.1f}"])
                last = at
                break
    return lines
