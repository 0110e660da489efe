"""The sessions that a stack needs with its database."""

from worker.quantities import counted

#: Of a pipeline on a machine that shares work: ledger, assignments, the queue's statements, LISTEN.
SHARING_SESSIONS = 4
#: Of a pipeline on the only machine: ledger.
LONE_SESSIONS = 1
#: 5 of the page, 1 of the cameras' service, 2 of operators' commands.
_OTHER_SESSIONS = 8


def connection_warning(limit: int, machines: int, pipelines: int) -> str | None:
    """Return a sentence if a database has too few connections for a stack, otherwise None.

    Args:
        limit: How many sessions the worker's role may have at a time.
        machines: The live machines.
        pipelines: The pipelines, each of which runs on every machine.
    """
    each = SHARING_SESSIONS if machines > 1 else LONE_SESSIONS
    needed = machines * pipelines * each + _OTHER_SESSIONS
    if needed <= limit:
        return None
    if machines > 1:
        need, remedy = "need", ", or lower machines"
    else:
        need, remedy = "needs", ""
    who, work = counted(machines, "machine"), counted(pipelines, "pipeline")
    return (
        f"The database allows {limit} connections, but {who} with {work} {need} {needed}: raise "
        f"its max_connections{remedy}."
    )
