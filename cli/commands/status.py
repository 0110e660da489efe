"""Show machines, backlog, time left, rate, quarantine, the last error, and warnings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from cli import options
from cli.errors import CommandError, MachineNotReady, MachineUnreachable
from cli.machines.boot import Step, describe
from cli.machines.host import Host, ask, choose
from cli.stacks.target import Target, command_line
from cli.terminal import print_progress, print_result, print_table
from worker.jobs.camera_lines import camera_lines
from worker.jobs.machines import machine_facts
from worker.jobs.pace import queue_text, time_left
from worker.quantities import counted

_LOGINS = 8  # at a time; sshd refuses some of those beyond ten (sshd_config(5), MaxStartups)
_SHOWN_REASONS = 5
_BROKER = "pipeline-broker"
_OF_COMPUTER = {"CPU": "CPU (computer)", "memory": "memory (computer)"}


@click.command(help=__doc__)
@options.stack
@options.pipeline
@options.as_json
def command(target: Target, pipeline: str | None, as_json: bool) -> None:
    hosts = choose(target)
    host = hosts[0]
    try:
        report = ask(host, ["status", *([f"--pipeline={pipeline}"] if pipeline else [])])
    except CommandError as error:
        _explain(host, target.name, error)
        raise
    # Earlier versions have no such output.
    if names := target.outputs(show_secrets=False).get("machineNames", ()):
        for part in (report, *report["pipelines"]):
            part["machines"] = [one for one in part["machines"] if one["machine"] in names]
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    if "warnings" not in report:
        up = command_line("up", target.name)
        raise CommandError(
            f"Machine {host.name} has an earlier version, whose report has less than is shown here:"
            f" '{up}' updates it; --json prints the report."
        )
    failed = _failed_steps(hosts)
    _print_machines(report["machines"], names, on_computer=host.is_on_this_computer)
    print_table(_rows(report, {one.name: one.state for _, steps in failed for one in steps}))
    for machine, steps in failed:
        for line in describe(steps):
            print_progress(f"  {machine.name}: {line}")
    for warning in report["warnings"]:
        print_progress(f"Warning: {warning}")


def _failed_steps(hosts: Sequence[Host]) -> list[tuple[Host, list[Step]]]:
    """Return the steps of boots that failed, such as a migration that the database refused."""
    with ThreadPoolExecutor(_LOGINS) as executor:
        found = executor.map(lambda host: [step for step in host.steps() if step.failed], hosts)
        return list(zip(hosts, found, strict=True))


def _print_machines(
    machines: Sequence[Mapping[str, Any]], names: Sequence[str], *, on_computer: bool
) -> None:
    """Print a table of machines, those that have not made a pass yet, and an empty line.

    Args:
        machines: The machines of a report.
        names: Those of the stack.
        on_computer: Whether they are processes, whose CPU and memory are this computer's.
    """
    if not machines:
        return
    rows = [(machine_facts(each), each) for each in machines]
    print_table(
        ([each["machine"], *facts.values(), each["obstacle"] or "none"] for facts, each in rows),
        [
            "machine",
            *(_OF_COMPUTER.get(one, one) if on_computer else one for one in rows[0][0]),
            "problem",
        ],
        right={1},
    )
    known = {each["machine"] for each in machines}
    if absent := [name for name in names if name not in known]:
        print_result(f"no pass yet  {', '.join(absent)}")
    print_result()


def _explain(host: Host, stack: str, error: CommandError) -> None:
    """Print why a machine does not answer: its status at the cloud, its boot, its console."""
    if isinstance(error, MachineUnreachable) and not isinstance(error, MachineNotReady):
        from cli.machines.ssh_host import relevant_lines

        if status := host.cloud_status():
            remedy = f"'{command_line('refresh', stack)}', then '{command_line('up', stack)}'"
            print_progress(f"  {host.name}: the cloud reports {status}; {remedy} restores it.")
            return
        lines = relevant_lines(host.console())
    else:
        lines = describe(host.steps())
    for line in lines:
        print_progress(f"  {host.name}: {line}")


def _rows(report: Mapping[str, Any], failures: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if not report["machines"]:
        yield "machine", "none has made a pass yet"
    # The machine has just reached both to answer.
    yield "reachable", "database and object store, from the machine"
    yield from _cameras(report, failures.get(_BROKER, ""))
    for each in report["pipelines"]:
        if len(report["pipelines"]) > 1:
            yield "pipeline", each["name"]
        backlog = each["backlog"]
        oldest = f", oldest {backlog['oldest']}" if backlog["oldest"] else ""
        left = time_left(backlog["count"], each["seconds_left"])
        left = f", {left}" if left else ""
        objects, size = counted(backlog["count"], "object"), counted(backlog["bytes"], "byte")
        yield "backlog", f"{objects}, {size}{oldest}{left}"
        if each["queue"]:
            yield "queue", queue_text(each["queue"])
        yield from _reasons("  failing", each["waiting_because"])
        yield "done", f"{each['done']} ({each['rate']:g} a minute over the last 10 min)"
        yield "quarantined", str(each["quarantined"])
        yield from _reasons("  reason", each["quarantine"])
        if undeletable := each["undeletable"]["count"]:
            yield "not deletable", f"{counted(undeletable, 'object')} done that cannot be deleted:"
            for one in each["undeletable"]["uploads"]:
                yield "", f"{one['key']}: {one['reason']}"
        yield "last error", each["last_error"] or "none"


def _cameras(report: Mapping[str, Any], broker: str) -> Iterator[tuple[str, str]]:
    for each in report["ingest"]:
        problem = f"{_BROKER} {broker}" if broker else each["obstacle"] or "no problem"
        yield "ingest", f"{each['machine']}: last heartbeat {each['last_pass']}, {problem}"
    if report["cameras"] and not report["ingest"]:
        yield "ingest", "has not started yet: messages of cameras are not stored"
    for each in report["cameras"]:
        yield "camera", each["camera"]
        yield from (("", line) for line in camera_lines(each))


def _reasons(title: str, groups: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for group in groups[:_SHOWN_REASONS]:
        newest = f", newest {group['newest']}" if "newest" in group else ""
        yield title, f"{group['count']}: {group['reason']}{newest}"
    if (more := len(groups) - _SHOWN_REASONS) > 0:
        yield title, f"{more} more: status --json has them"
