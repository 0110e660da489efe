"""Samples the CPU of this process: the worker runs it as `sitecustomize`, and so do its children.

For every few milliseconds of CPU time, user and system, the kernel signals the thread that is using
it (setitimer(2)), and faulthandler writes that thread's Python stack at once, in C: also inside C
calls and system calls, and whoever holds the GIL. py-spy samples by the clock, which on a busy
machine also counts threads that wait for a core, and perf sees no Python functions before 3.12.
"""

import atexit
import faulthandler
import os
import signal
import time

#: Seconds of CPU for each sample; no shorter than the kernel's tick, which is 4 ms on Debian.
INTERVAL = 0.004
#: Beside this file; has a file for each process.
FOLDER = "samples"


def _start() -> None:
    path = os.path.join(os.path.dirname(__file__), FOLDER, str(os.getpid()))  # noqa: PTH118, PTH120  pathlib takes longer
    samples = open(path, "w", encoding="utf-8")  # noqa: PTH123, SIM115  as above
    print(time.process_time(), file=samples, flush=True)
    faulthandler.register(signal.SIGPROF, samples, all_threads=False)
    # At its end Python unregisters the handler; without one, the signal kills.
    atexit.register(signal.setitimer, signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)


if __name__ == "sitecustomize":
    _start()
