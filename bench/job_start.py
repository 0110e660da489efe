"""`python job_start.py FOLDER TURNS COUNT [SOCKET]`: what starting a job of a command costs.

It needs the worker's packages alone, so that it also runs on a machine. Prints JSON: for each way
of starting `true` the seconds of CPU and of wall-clock time, turn by turn.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from worker.environment import Environment
from worker.sandbox.job_pool import JobPool
from worker.settings import Pipeline

FORK, JOB, AT_ONCE = "fork and exec", "job", "job, right after another"
_PROGRAM = "true"
_PAUSE_SECONDS = 0.5  # until the next unit waits
Turns = dict[str, list[tuple[float, float]]]


def measure(folder: Path, turns: int, count: int, job_socket: str | None) -> Turns:
    """Alternate the ways of starting a program.

    Args:
        folder: An empty folder.
        turns: How often each way is measured.
        count: How many programs it starts each time.
        job_socket: The socket that starts a unit, None where there is no systemd.

    Returns:
        Seconds of CPU and of wall-clock time a program. The CPU time is that of all processes; of a
        unit's it is not known here.
    """
    source = folder / "work" / "upload"
    source.parent.mkdir()
    source.write_text("input")
    pauses = {JOB: _PAUSE_SECONDS if job_socket else 0.0}
    if job_socket:
        pauses[AT_ONCE] = 0.0
    found: Turns = {}
    for _ in range(turns):
        found.setdefault(FORK, []).append(_cost(partial(_fork, count), count))
        for name, pause in pauses.items():
            # What prepares a pass is left out: the cost of a pool with one job.
            cpu, _ = _cost(partial(_jobs, source, job_socket, 0, 0), 1)
            more, seconds = _cost(partial(_jobs, source, job_socket, count, pause), 1)
            found.setdefault(name, []).append(((more - cpu) / count, seconds / count))
    return found


def _fork(count: int) -> float:
    begun = time.monotonic()
    for _ in range(count):
        subprocess.run([_PROGRAM], check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - begun


def _jobs(source: Path, job_socket: str | None, count: int, pause: float) -> float:
    """Run so many jobs after a first one; return the seconds that they took, without pauses."""
    parameters = json.dumps({"argv": [_PROGRAM]})
    pipeline = Pipeline("bench", "command", "in", "out", parameters=parameters)
    pool = JobPool(pipeline, Environment(), source.parent, 1, job_socket)
    seconds = 0.0
    try:
        pool.run([source], ["input"])
        for _ in range(count):
            time.sleep(pause)
            begun = time.monotonic()
            pool.run([source], ["input"])
            seconds += time.monotonic() - begun
        return seconds
    finally:
        pool.close()


def _cost(way: Callable[[], float], count: int) -> tuple[float, float]:
    before = _cpu_seconds()
    seconds = way()
    return (_cpu_seconds() - before) / count, seconds / count


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main(folder: str, turns: str, count: str, job_socket: str | None = None) -> None:
    """Measure and print."""
    print(json.dumps(measure(Path(folder), int(turns), int(count), job_socket)))


if __name__ == "__main__":
    main(*sys.argv[1:])
