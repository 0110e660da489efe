"""The worker's own commands, run where it runs: the database admits only the machine."""

import json
from collections.abc import Sequence
from typing import Any

from local.cloud import LocalCloud
from rich.table import Table

from cli.errors import PipelineError


def ask(cloud: LocalCloud, command: Sequence[str]) -> Any:
    """The JSON answer of `python -m worker <command> --json` on the first machine."""
    machines = cloud.machines()
    if not machines:
        raise PipelineError("No machine of the pipeline is running: './pipeline up' starts one.")
    answer = machines[0].run([*command, "--json"])
    if answer.returncode != 0:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no answer"]
        raise PipelineError(f"Machine {machines[0].name} could not tell: {lines[-1]}")
    return json.loads(answer.stdout)


def status_table(answer: dict[str, Any]) -> Table:
    """`status` as people read it."""
    backlog = answer["backlog"]
    grid = Table(box=None, show_header=False, pad_edge=False)
    for machine in answer["machines"]:
        obstacle = machine["obstacle"] or "nothing in the way"
        grid.add_row(
            "machine", f"{machine['machine']}: last pass {machine['last_pass']}, {obstacle}"
        )
    oldest = f", oldest {backlog['oldest']}" if backlog["oldest"] else ""
    grid.add_row("backlog", f"{backlog['count']} objects, {backlog['bytes']} bytes{oldest}")
    grid.add_row("done", f"{answer['done']} ({answer['rate']:g} a minute)")
    grid.add_row("quarantined", str(answer["quarantined"]))
    grid.add_row("last error", answer["last_error"] or "none")
    return grid
