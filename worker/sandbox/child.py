"""The process that runs transforms: one JSON job per input line, one JSON response per job.

`python -m worker.sandbox.child TRANSFORM MEMORY_MB CPU_SECONDS PARENT_PID INPUTS`, started by
child_process.py in the folder for results. The first line of its input has the transform's
parameters, which may be secret. No process of a pass but this one and job.py imports a transform.
"""

import gc
import json
import os
import sys
from pathlib import Path

from worker.sandbox.application import Application, flush_output, resources_of, start_failure
from worker.sandbox.confinement import CpuLimit, confine

#: What libraries of models look at: the kinds and the number of processors, graphics cards.
_MACHINE = (
    *(Path("/sys/devices/system/cpu"), Path("/sys/bus/pci/devices")),
    *(Path("/proc/cpuinfo"), Path("/proc/meminfo")),
)


def main() -> None:
    """Run jobs until standard input ends, as it does when the parent ends."""
    name, memory_mb, cpu_seconds, parent, inputs = sys.argv[1:]
    requests = os.fdopen(os.dup(0))
    _discard(os.O_RDONLY, 0)  # a function that reads standard input must not wait for a job
    line = requests.readline()
    if not line.endswith("\n"):
        sys.exit(1)  # the parent died before PR_SET_PDEATHSIG
    pipeline = json.loads(line)
    responses = os.fdopen(os.dup(1), "w", buffering=1)
    readable, scratch, outputs = [Path(inputs)], None, Path.cwd()
    if has_log := "scratch" in pipeline:
        os.dup2(2, 1)  # the parent reads what it prints
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        resources = resources_of(pipeline)
        folders = [resources.folder] if resources.folder else []
        readable += [*folders, *resources.files.values(), *_MACHINE]
        scratch = Path(pipeline["scratch"])
    else:
        transform = Application(name, pipeline)
        _discard(os.O_WRONLY, 1, 2)  # what C libraries print would fill the journal
    unenforced = confine(int(memory_mb) << 20, int(parent), readable, scratch)
    if scratch:
        os.chdir(scratch)  # what a library leaves in the working directory is no result
    try:
        if has_log:  # confined before, because imports of models' libraries start threads
            transform = Application(name, pipeline)
        transform.start()
    except Exception as error:  # noqa: BLE001  libraries raise anything
        print(json.dumps({"failed": start_failure(name, error)}), file=responses)
        return
    print(json.dumps({"ready": unenforced}), file=responses)
    gc.freeze()  # objects of imports live as long as the process
    memory, root, limit = pipeline.get("memory"), Path(inputs), CpuLimit(int(cpu_seconds))
    for line in requests:
        limit.renew()
        job = json.loads(line)
        response = transform.apply(root, job["paths"], job["names"], outputs, memory)
        if has_log:
            flush_output()
        print(json.dumps(response), file=responses)


def _discard(flags: int, *descriptors: int) -> None:
    """Connect descriptors to nothing."""
    null = os.open(os.devnull, flags)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    main()
