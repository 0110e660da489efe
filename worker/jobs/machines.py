"""The machines of a stack, each once, as `status` and the page show them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worker.ledger.ledger import LIVE_SECONDS
from worker.quantities import counted, duration, size

#: Jobs that are shown of those that a machine works on.
SHOWN_JOBS = 3
_SILENT_SECONDS = 300.0  # since the last heartbeat of a machine that may pause between passes
_FORGOTTEN_SECONDS = 86_400.0
_SHOWN_CHARACTERS = 40  # of a key
_JOB = ("id", "pipeline", "key", "started")
_Row = dict[str, Any]


def machine_rows(
    heartbeats: Iterable[_Row], rates: Sequence[_Row] = (), running: Sequence[_Row] = ()
) -> list[_Row]:
    """Return one row per machine.

    Args:
        heartbeats: Rows of `StackLedger.machines`.
        rates: Rows of `StackLedger.rates`.
        running: Rows of `StackLedger.running`.

    Returns:
        machine; last_pass, seconds_ago, live, cores, cpu, memory_used and memory_total of its
        newest heartbeat; problems, a missing heartbeat among them, and as obstacle the first of
        them; rate (jobs done in a minute); running (how many jobs it works on) and jobs (those
        that began first: id, pipeline, key, started).
    """
    machines: dict[str, list[_Row]] = {}
    for row in heartbeats:
        machines.setdefault(row["machine"], []).append(row)
    return [
        _machine_row(
            rows,
            [one for one in rates if one["machine"] == name],
            [one for one in running if one["machine"] == name],
        )
        for name, rows in machines.items()
    ]


def _machine_row(
    heartbeats: Sequence[_Row], rates: Iterable[_Row], running: Sequence[_Row]
) -> _Row:
    newest = max(heartbeats, key=lambda row: row["last_pass"])
    # The first heartbeats of a pass have no CPU use yet, those of other services no load.
    loads = [row for row in heartbeats if row["cpu"] is not None]
    load = max(loads, key=lambda row: row["last_pass"], default=newest)
    problems = list(dict.fromkeys(row["obstacle"] for row in heartbeats if row["obstacle"]))
    is_live = any(row["live"] for row in heartbeats)
    silence = newest["seconds_ago"]
    if silence > (LIVE_SECONDS if is_live else _SILENT_SECONDS):
        problems.insert(0, f"No heartbeat for {duration(silence)}.")
    jobs = sorted(running, key=lambda row: row["started"] or "")[:SHOWN_JOBS]
    return {
        **{name: newest[name] for name in ("machine", "last_pass", "seconds_ago")},
        "live": is_live,
        "obstacle": problems[0] if problems else None,
        "problems": problems,
        "rate": sum(row["rate"] for row in rates),
        **{name: load[name] for name in ("cores", "cpu", "memory_used", "memory_total")},
        "running": sum({row["pipeline"]: row["running"] for row in running}.values()),
        "jobs": [{name: row[name] for name in _JOB} for row in jobs],
    }


def present_machines(machines: Sequence[_Row]) -> list[_Row]:
    """Return the machines without those that are not used any more, but at least one.

    These have ended by themselves, or have been silent for a day. One that died stays.
    """
    present = [
        one
        for one in machines
        if one["seconds_ago"] <= (_FORGOTTEN_SECONDS if one["live"] else _SILENT_SECONDS)
    ]
    return present or sorted(machines, key=lambda one: one["seconds_ago"])[:1]


def machine_facts(machine: Mapping[str, Any]) -> dict[str, str]:
    """Return a row of `machine_rows` for people, without name and problem: text by title."""
    cpu, used, total = (machine[name] for name in ("cpu", "memory_used", "memory_total"))
    cores = counted(machine["cores"] or 0, "core")
    return {
        "jobs a minute (last 10 min)": f"{machine['rate']:.1f}",
        "CPU": "unknown" if cpu is None else f"{100 * cpu:.0f} % of {cores}",
        "memory": "unknown" if total is None else f"{size(used)} of {size(total)}",
        "last seen": f"{duration(machine['seconds_ago'])} ago",
        "works on": _work(machine),
    }


def _work(machine: Mapping[str, Any]) -> str:
    if not machine["jobs"]:
        return "nothing"
    key = machine["jobs"][0]["key"]
    shown = key if len(key) <= _SHOWN_CHARACTERS else f"…{key[1 - _SHOWN_CHARACTERS :]}"
    others = machine["running"] - 1
    return f"{shown} and {others} more" if others else str(shown)
