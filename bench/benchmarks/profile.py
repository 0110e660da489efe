"""CPU of the worker by the steps of a pass."""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import cpu_sampler, stacks
from bench.benchmark import Result, Setup
from bench.photos import SIZES, SMALL, PhotoSet
from bench.plots import StackedBars
from bench.stacks import Samples, Stack
from bench.steps import OTHER, START, STEPS, step_of
from bench.table import Table
from bench.testbed import Testbed

TITLE = "CPU by step"
TEXT = """One pass of the worker, `python -m worker drain`, over photographs of 2 MP (JPEG, quality
90) and one over small ones of 256 × 192 pixels (≤ 20 KB), all of distinct bytes; `rclone serve s3`
without versions, PostgreSQL. For every 4 ms of CPU, user and system, of a process and of its
children, the kernel signals the thread that is using it, and `faulthandler` writes that thread's
Python stack (`bench/cpu_sampler.py`, the `sitecustomize` of a copy of the worker): also inside C
calls and system calls, and whoever holds the GIL. The innermost function that `bench/steps.py`
names decides on the step, so requests, files and hashes belong to the step that asks for them.
*Not sampled* is what the kernel counted besides: ends of processes, and ticks in which two threads
of a process ran, which get one signal. A pass that the sampler crashes is repeated."""

_UNSAMPLED = "not sampled"
_SHOWN = 15
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Profile:
    """What the passes over objects of one kind used.

    Attributes:
        count: How many objects.
        cpu: Seconds, of which `system` in the kernel.
        samples: Their samples.
    """

    count: int
    cpu: float
    system: float
    samples: Samples

    def steps(self) -> dict[str, float]:
        """Return milliseconds of CPU an object by step, which add up to all."""
        seconds = dict.fromkeys((*STEPS, OTHER), 0.0)
        for stack in self.samples.stacks:
            seconds[step_of(stack)] += cpu_sampler.INTERVAL
        seconds[START] += self.samples.start
        seconds[_UNSAMPLED] = self.cpu - sum(seconds.values())
        return {step: 1000 * each / self.count for step, each in seconds.items()}

    def functions(self, name: str) -> Table:
        """Return the functions of the worker that use most, with what they call elsewhere."""
        used = Counter(map(_function, self.samples.stacks))
        to_ms = 1000 * cpu_sampler.INTERVAL / self.count
        lines = [[each, f"{to_ms * n:.3f}"] for each, n in used.most_common(_SHOWN)]
        return Table("", [f"{name}: function", "ms"], lines)


def measure(setup: Setup) -> Result:
    """Sample passes over both kinds of objects.

    Returns:
        The steps of each.
    """
    photos, objects = (100, 400) if setup.quick else (2000, 10_000)
    photo_set = PhotoSet(setup.photos)
    source = setup.folder / "source"
    shutil.copytree(setup.source, source)
    shutil.copy(cpu_sampler.__file__, source / "sitecustomize.py")
    profiles = {}
    for name, count, size in (
        ("2 MP photo", photos, SIZES["P2"]),
        ("small object", objects, SMALL),
    ):
        for attempt in range(_ATTEMPTS):
            folder = setup.folder / f"testbed-{count}-{attempt}"
            shutil.rmtree(source / cpu_sampler.FOLDER, ignore_errors=True)  # no migration's samples
            with Testbed(folder, source) as testbed, _tolerate_crash(attempt):
                uploads = photo_set.uploads(size)
                _sampled(testbed, source, 1, uploads)  # writes Python's bytecode
                profiles[name] = _sampled(testbed, source, count, uploads)
                break
    return _result(profiles)


@contextmanager
def _tolerate_crash(attempt: int) -> Iterator[None]:
    """Suppress a worker's SIGSEGV but in the last attempt: faulthandler may read half a frame."""
    try:
        yield
    except subprocess.CalledProcessError as error:
        if error.returncode != -signal.SIGSEGV or attempt == _ATTEMPTS - 1:
            raise


def _sampled(
    testbed: Testbed, source: Path, count: int, uploads: Callable[[int], tuple[str, bytes]]
) -> _Profile:
    testbed.fill(count, uploads)
    folder = source / cpu_sampler.FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    used = testbed.drain()
    return _Profile(count, used.cpu, used.system, stacks.read(folder, source))


def _function(stack: Stack) -> str:
    """Return the innermost function of the worker."""
    for frame in stack:
        if frame.module.startswith("worker."):
            return f"`{frame.module}.{frame.function}`"
    return "none"


def _result(profiles: Mapping[str, _Profile]) -> Result:
    steps = {name: profile.steps() for name, profile in profiles.items()}
    lines = [_line(step, profiles, steps) for step in next(iter(steps.values()))]
    lines.append(["**all**", *(c for one in profiles.values() for c in _cells(_ms(one), 1))])
    columns = ["step", *(cell for name in profiles for cell in (f"{name}, ms", "share"))]
    plot = StackedBars("profile", "CPU of the worker's processes by step", "ms an object", steps)
    figures = {
        f"{name}, {step}: CPU ms": ms for name, each in steps.items() for step, ms in each.items()
    }
    notes = [
        f"{name}: {one.count:,} in a pass, {len(one.samples.stacks):,} samples; "
        f"{100 * one.system / one.cpu:.0f} % of the CPU is the kernel's."
        for name, one in profiles.items()
    ]
    details = [profile.functions(name) for name, profile in profiles.items()]
    return Result([Table("", columns, lines)], figures, [plot], notes, details)


def _line(
    step: str, profiles: Mapping[str, _Profile], steps: Mapping[str, Mapping[str, float]]
) -> list[str]:
    cells = [
        cell
        for name, profile in profiles.items()
        for cell in _cells(steps[name].get(step, 0), steps[name].get(step, 0) / _ms(profile))
    ]
    return [step, *cells]


def _ms(profile: _Profile) -> float:
    return 1000 * profile.cpu / profile.count


def _cells(ms: float, share: float) -> Sequence[str]:
    return f"{ms:.3f}", f"{100 * share:.1f} %"
