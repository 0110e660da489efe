"""Waiting until all machines of a stack share its work."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from cli.errors import CommandError
from cli.machines.host import Host, choose
from cli.query import read_query
from cli.stacks.target import Target, command_line
from cli.terminal import spinner
from worker.quantities import counted

_POLL_SECONDS = 1.0
# A machine takes part once its passes for all pipelines fetch tasks; each pipeline needs a lister.
_STATE = """
SELECT
    ARRAY(
        SELECT machine FROM pipeline.heartbeats
        WHERE live AND last_pass > now() - interval '30 seconds' GROUP BY machine
    ),
    (
        SELECT count(*) FROM pipeline.procrastinate_workers
        WHERE last_heartbeat > now() - interval '30 seconds'
    ),
    (SELECT count(*) FROM pipeline.listers WHERE until > now())
"""


@dataclass(frozen=True)
class _Fleet:
    """What the database has of a stack's machines.

    Attributes:
        machines: Names of those with a running pass.
        workers: How many passes fetch tasks.
        listers: How many pipelines have a machine that lists their input.
    """

    machines: Collection[str]
    workers: int
    listers: int


def await_fleet(target: Target, pipelines: int, patience: float) -> None:
    """Wait until each machine of a stack executes jobs of each pipeline, as the ledger shows.

    Args:
        target: The stack; it has several machines, and a database that no other stack uses.
        pipelines: How many it has.
        patience: Seconds without progress after which to give up.

    Raises:
        CommandError: Some do not take part.
    """
    hosts = choose(target)
    names = [host.name for host in hosts]
    expected = _Fleet(names, len(names) * pipelines, pipelines)
    waiting = f"Waiting for {counted(len(names), 'machine')}"
    seen, last_progress = "", time.monotonic()
    with spinner(waiting) as screen:
        while True:
            try:
                found = _fleet(hosts[0])
            except CommandError as error:  # the first one is still being installed
                found, state = _Fleet((), 0, 0), error.message
            else:
                state = _described(found, expected)
            if not state:
                return
            if state != seen:
                seen, last_progress = state, time.monotonic()
                screen.show(f"{waiting}: {state}")
            elif time.monotonic() - last_progress > patience:
                absent = [name for name in names if name not in found.machines]
                logs = command_line(f"logs --machine {(absent or names)[0]}", target.name)
                raise CommandError(
                    f"The machines do not share the work after {patience:.0f} s without progress "
                    f"({state.rstrip('.')}): '{logs}' shows why."
                )
            time.sleep(_POLL_SECONDS)


def _fleet(host: Host) -> _Fleet:
    _, (machines, workers, listers) = read_query(host, _STATE)
    assert isinstance(machines, list)  # noqa: S101
    return _Fleet([str(name) for name in machines], int(str(workers)), int(str(listers)))


def _described(found: _Fleet, expected: _Fleet) -> str:
    """Return what is missing, "" if nothing is."""
    absent = [name for name in expected.machines if name not in found.machines]
    if absent:
        return f"no pass yet on {', '.join(absent)}"
    if found.workers < expected.workers:
        return f"{found.workers} of {expected.workers} passes fetch tasks"
    return "" if found.listers >= expected.listers else "no machine lists the input yet"
