"""How busy a machine is, with /proc and where the worker's unit hides it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.load import Load, LoadMeter

CORES = os.cpu_count() or 1
TICKS = os.sysconf("SC_CLK_TCK")
NODE = """
Node {0} MemTotal:       4000 kB
Node {0} MemFree:        1000 kB
Node {0} FilePages:       900 kB
Node {0} Shmem:           100 kB
Node {0} SReclaimable:    200 kB
"""


class Machine:
    """A machine's files and clock."""

    def __init__(self, root: Path) -> None:
        self.root, self.seconds = root, 100.0

    def write(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def work(self, path: str, content: str, *, seconds: float = 5) -> None:
        """Let seconds pass, after which a file is as given."""
        self.write({path: content})
        self.seconds += seconds

    def meter(self) -> LoadMeter:
        return LoadMeter(self.root, lambda: self.seconds)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def stat(user: float, idle: float, iowait: float) -> str:
    """Return /proc/stat after seconds of work; guests are part of user."""
    ticks = [round(seconds * TICKS) for seconds in (user, 0, 0, idle, iowait, 0, 0, 0, user, 0)]
    return f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 2 3\n"


def test_cpu_is_the_fraction_of_the_last_interval(machine: Machine) -> None:
    machine.write({"proc/stat": stat(1000, 1000, 0)})
    meter = machine.meter()
    assert meter.measure().cpu is None
    machine.work("proc/stat", stat(1000 + 2 * CORES, 1002, 50))
    assert meter.measure().cpu == pytest.approx(0.4)
    machine.work("proc/stat", stat(1000 + 7 * CORES, 1002, 50))
    assert meter.measure().cpu == pytest.approx(1)
    machine.work("proc/stat", stat(1000 + 7 * CORES, 1010, 50))
    assert meter.measure().cpu == 0


def test_a_short_interval_changes_nothing(machine: Machine) -> None:
    machine.write({"proc/stat": stat(0, 0, 0)})
    meter = machine.meter()
    machine.work("proc/stat", stat(2.5 * CORES, 9, 9))
    assert meter.measure().cpu == pytest.approx(0.5)
    machine.work("proc/stat", stat(2.6 * CORES, 9, 9), seconds=0.1)
    assert meter.measure().cpu == pytest.approx(0.5)


@pytest.mark.parametrize("folder", ["sys/fs/cgroup", "sys/fs/cgroup/unified"])
def test_without_proc_control_groups_and_nodes_say_it(machine: Machine, folder: str) -> None:
    nodes = {f"sys/devices/system/node/node{n}/meminfo": NODE.format(n) for n in range(2)}
    machine.write({f"{folder}/cpu.stat": "usage_usec 7000000\nuser_usec 1\n", **nodes})
    meter = machine.meter()
    machine.work(f"{folder}/cpu.stat", f"usage_usec {7000000 + CORES * 1000000}\nuser_usec 1\n")
    load = meter.measure()
    assert load.cpu == pytest.approx(0.2)
    kilobytes = 4000 - 1000 - (900 - 100) - 200
    assert (load.memory_used, load.memory_total) == (2048 * kilobytes, 2 * 4000 * 1024)


def test_memory_counts_caches_as_free(machine: Machine) -> None:
    machine.write({"proc/meminfo": "MemTotal: 900 kB\nMemFree: 10 kB\nMemAvailable: 600 kB\n"})
    load = machine.meter().measure()
    assert (load.memory_used, load.memory_total) == (300 * 1024, 900 * 1024)


def test_a_machine_without_both_has_an_unknown_load(machine: Machine) -> None:
    meter = machine.meter()
    machine.seconds += 5
    assert meter.measure() == Load(CORES, None, None, None)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("proc/stat", "intr 5\n"),
        ("proc/stat", "cpu  1 2 3\n"),
        ("proc/stat", "cpu  many\n"),
        ("proc/meminfo", "MemAvailable: 5 kB\n"),
        ("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 9 kB\n"),
    ],
)
def test_files_without_the_numbers_make_an_unknown_load(
    machine: Machine, file: str, content: str
) -> None:
    """As in containers whose files a program makes up."""
    machine.write({file: content})
    meter = machine.meter()
    machine.seconds += 5
    assert meter.measure() == Load(CORES, None, None, None)


def test_this_machine() -> None:
    load = LoadMeter().measure()
    assert load.memory_used is not None
    assert load.memory_total is not None
    assert 0 < load.memory_used < load.memory_total
