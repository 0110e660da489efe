"""Phases of a machine's first boot: `python -m bench.first_boot`, as root, while a stack stands.

First `./pipeline up --machine container --suite SUITE`, and once it works `./pipeline put PHOTO`
right after `up` for the last line. Seconds are the guest's own, since its systemd began; a phase
ends when its mark is in the guest's journal.
"""

import json
import sys

from cli.places import LocalPlaces
from local.cloud import LocalCloud
from local.machine.container import Container

#: What ends a phase: unit whose journal is read, words of the first line that tells, its name.
MARKS = (
    ("cloud-final", "Finished", "cloud-init"),
    ("pipeline-install", "Installing the worker's Python packages", "python3-venv by apt"),
    ("pipeline-install", "Finished", "packages by pip"),
    ("pipeline-migrate", "Finished", "migrate"),
    ("pipeline-worker", '"event": "done"', "first negative"),
    ("pipeline-worker", "Finished", "first pass"),
    ("pipeline-extras", "Finished", "extras (nothing waits for them)"),
)


def main() -> int:
    """Print the phases of the machine that runs."""
    for machine in LocalCloud(LocalPlaces().cloud).machines():
        if isinstance(machine, Container):
            print(f"{'seconds':>8}  {'phase':>8}  of {machine.name}")
            _show(machine)
            return 0
    print("No container runs: './pipeline up --machine container' starts one.", file=sys.stderr)
    return 1


def _show(machine: Container) -> None:
    told = machine.enter(
        ["journalctl", "-b", "--no-pager", "-o", "json", "-u", "cloud-*", "-u", "pipeline-*"]
    )
    entries = [json.loads(line) for line in told.stdout.splitlines()]
    start = int(machine.enter(["systemctl", "show", "-P", "UserspaceTimestampMonotonic"]).stdout)
    last = 0.0
    for unit, words, name in MARKS:
        for entry in entries:
            of = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT"))
            if of == f"{unit}.service" and words in str(entry["MESSAGE"]):
                at = (int(entry["__MONOTONIC_TIMESTAMP"]) - start) / 1e6
                print(f"{at:8.1f}  {at - last:8.1f}  {name}")
                last = at
                break


if __name__ == "__main__":
    sys.exit(main())
