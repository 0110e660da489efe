"""Simulation of what a stack carries, from one machine up; docs/scale.md shows its tables.

`python -m bench.capacity` prints them. It is calibrated by docs/measurements.json; what cannot be
measured on a laptop is in `Assumptions`.
"""

import math
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.benchmarks.queue import TWO
from bench.measurements import Measurements
from bench.table import Table
from cli import cost
from worker.dispatch.connections import connection_warning
from worker.jobs.drain import threads_for

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT, FIGURES = ROOT / "docs" / "scale.md", ROOT / "docs" / "measurements.md"
_MOST = 1e8  # objects a month
_DAYS = 30  # of a month
_STEP_SECONDS, _SEED = 10, 15
#: Flavor -> cores and memory in GiB; CSCfi/csc-user-guide, docs/cloud/pouta/vm-flavors-and-billing
#: and docs/cloud/dbaas/flavors.
MACHINES: Mapping[str, tuple[int, float]] = {
    "standard.tiny": (1, 0.9),
    "standard.small": (2, 1.9),
    "standard.medium": (3, 3.9),
    "standard.large": (4, 7.8),
    "standard.xlarge": (6, 15),
    "standard.xxlarge": (8, 31),
}
DATABASES: Mapping[str, int] = {
    "standard.small": 2,
    "standard.medium": 3,
    "standard.large": 4,
    "standard.xlarge": 6,
    "standard.xxlarge": 8,
}


@dataclass(frozen=True)
class Assumptions:
    """What no benchmark here can measure.

    Attributes:
        request_seconds: Of a GET or PUT of the cloud's object store, without the transfer.
        requests: Requests of a job, one after another; deletions are shared.
        page_seconds: Of a request that lists 1,000 keys.
        network_mb: Megabytes a second between a machine and the store.
        connections: That the database allows the worker: PostgreSQL's default is 100, of which 3
            are reserved.
        bucket: Objects that a bucket may have: `status` warns at 400,000, Allas takes 500,000.
        keep_days: After which results are taken out of their bucket.
        hours: Of the day in which all uploads come.
        burst: Uploads that come together, on average: a folder.
        busy: Share of a resource that may be used on average while uploads come.
        memory_share: Of a machine's memory for its passes.
    """

    request_seconds: float = 0.05
    requests: float = 2.2
    page_seconds: float = 0.2
    network_mb: float = 100
    connections: int = 97
    bucket: int = 400_000
    keep_days: float = 1
    hours: float = 10
    burst: float = 50
    busy: float = 0.8
    memory_share: float = 0.7


@dataclass(frozen=True)
class Calibration:
    """What was measured.

    Attributes:
        overhead_ms: CPU of a machine for an object whose transform costs nothing to speak of.
        photo_ms: CPU of a machine for a photograph of 2 MP.
        database_ms: PostgreSQL's CPU for an object.
        keys: Keys a second that a lister can assign.
        efficiency: Jobs of four machines, to four times those of one.
        idle_seconds: From put to result, median, on an idle fleet.
        pass_mb: Memory of a pass and its processes in a fleet.
    """

    overhead_ms: float
    photo_ms: float
    database_ms: float
    keys: float
    efficiency: float
    idle_seconds: float
    pass_mb: float

    @classmethod
    def read(cls, figures: Mapping[str, Mapping[str, float]]) -> "Calibration":
        """Return what docs/measurements.json says.

        Raises:
            KeyError: A benchmark was not run.
        """  # noqa: DOC502
        queue = figures["queue"]
        return cls(
            figures["fleet-growth"]["1000: CPU ms"],
            queue[f"{TWO}: CPU ms"],
            queue[f"{TWO}: database ms"],
            queue["keys a second"],
            min(1, figures["scale"]["4: times"] / 4),
            figures["fleet-latency"]["3: median s"],
            figures["fleet-growth"]["1000: MB"],
        )


@dataclass(frozen=True)
class Work:
    """What an object costs: milliseconds of a machine's CPU, and megabytes in and out."""

    name: str
    cpu_ms: float
    megabytes: float


@dataclass(frozen=True)
class Stack:
    """What the settings say; each pipeline has its own buckets, each stack its own database.

    `stacks` of this kind share the work.
    """

    machines: int = 1
    flavor: str = "standard.tiny"
    database: str = "standard.small"
    pipelines: int = 1
    stacks: int = 1

    def monthly(self) -> float:
        """Return the price of all in billing units a month, without stored objects."""
        settings = {
            "machines": self.machines,
            "flavor": self.flavor,
            "databaseFlavor": self.database,
        }
        hourly = sum(item.hourly for item in cost.of_stack(settings))
        return self.stacks * hourly * cost.HOURS_A_MONTH


@dataclass(frozen=True)
class Day:
    """A simulated day.

    Attributes:
        median: Seconds from put to result.
        p99: The same, of the slowest in a hundred.
        backlog: The most objects that waited.
    """

    median: float
    p99: float
    backlog: float


@dataclass(frozen=True)
class Step:
    """A stack and what it carries.

    Attributes:
        stack: The stack.
        bottlenecks: What is exhausted first; and what would be at once if only that were moved.
        monthly: The objects a month that it carries.
        day: A day with as many.
    """

    stack: Stack
    bottlenecks: Sequence[str]
    monthly: float
    day: Day


CPU, REQUESTS, NETWORK = "CPU of the machines", "requests in flight", "network of the machines"
DATABASE, LISTER = "statements of the database", "lister"
CONNECTIONS, BUCKET, MEMORY = "connections of the database", "objects in a bucket", "memory"
#: Resource -> the setting that moves it.
SETTINGS = {
    CPU: "`machines`",
    REQUESTS: "`machines`",
    NETWORK: "`machines`",
    DATABASE: "`databaseFlavor`",
    LISTER: "`pipelines`",
    CONNECTIONS: "a larger `flavor`, or a second stack",
    BUCKET: "`pipelines` (each has its own buckets)",
    MEMORY: "`flavor`",
}


class Model:
    """What a stack carries of one kind of work."""

    def __init__(
        self, calibration: Calibration, work: Work, assumptions: Assumptions | None = None
    ) -> None:
        self._measured, self._work = calibration, work
        self._assumed = assumptions or Assumptions()

    def rates(self, stack: Stack) -> dict[str, float]:
        """Return the objects a second that each resource of all stacks can take."""
        measured, work, assumed = self._measured, self._work, self._assumed
        cores, _ = MACHINES[stack.flavor]
        efficiency = measured.efficiency if stack.machines > 1 else 1
        transfer = work.megabytes / assumed.network_mb
        busy = assumed.requests * assumed.request_seconds + transfer + work.cpu_ms / 1000
        rates = {
            CPU: efficiency * stack.machines * cores * 1000 / work.cpu_ms,
            REQUESTS: stack.machines * threads_for(cores) / busy,
            NETWORK: stack.machines / transfer,
            DATABASE: DATABASES[stack.database] * 1000 / measured.database_ms,
            LISTER: stack.pipelines / (assumed.page_seconds / 1000 + 1 / measured.keys),
        }
        return {name: stack.stacks * rate for name, rate in rates.items()}

    def monthly(self, stack: Stack) -> dict[str, float]:
        """Return the objects a month that each resource can take."""
        measured, assumed = self._measured, self._assumed
        seconds = _DAYS * assumed.hours * 3600 * assumed.busy
        _, memory = MACHINES[stack.flavor]
        found = {name: rate * seconds for name, rate in self.rates(stack).items()}
        kept = _DAYS / assumed.keep_days
        found[BUCKET] = stack.stacks * stack.pipelines * assumed.bucket * kept
        warning = connection_warning(assumed.connections, stack.machines, stack.pipelines)
        fits = stack.pipelines * measured.pass_mb <= assumed.memory_share * memory * 1024
        # Either it works or it does not, however many objects there are.
        found[CONNECTIONS] = 0 if warning else math.inf
        found[MEMORY] = math.inf if fits else 0
        return found

    def first(self, stack: Stack) -> tuple[str, float]:
        """Return the first resource that is exhausted, and the objects a month that it takes."""
        found = self.monthly(stack)
        name = min(found, key=lambda each: found[each])
        return name, found[name]

    def simulate(self, stack: Stack, monthly: float) -> Day:
        """Simulate the hours of a day in which uploads come, and the time until all are done."""
        assumed, dice = self._assumed, random.Random(_SEED)  # noqa: S311
        rate = min(self.rates(stack).values()) * _STEP_SECONDS
        steps = round(assumed.hours * 3600 / _STEP_SECONDS)
        bursts = monthly / _DAYS / assumed.burst / steps  # a step, on average
        pending: deque[list[float]] = deque()
        waits: list[tuple[float, float]] = []  # seconds, objects
        step, backlog, latest = 0, 0.0, 0.0
        while step < steps or pending:
            if step < steps:
                arrived = sum(_burst(dice, assumed.burst) for _ in range(_poisson(dice, bursts)))
                if arrived:
                    pending.append([step, arrived])
                    backlog += arrived
                latest = max(latest, backlog)
            room = rate
            while pending and room > 0:
                since, count = pending[0]
                taken = min(count, room)
                room -= taken
                backlog -= taken
                # An object that is taken in the step in which it comes waits for its share of it.
                waits.append((_STEP_SECONDS * (step - since + (1 - room / rate) / 2), taken))
                if taken == count:
                    pending.popleft()
                else:
                    pending[0][1] -= taken
            step += 1
        waits.sort()
        idle = self._measured.idle_seconds
        return Day(idle + _quantile(waits, 0.5), idle + _quantile(waits, 0.99), latest)

    def steps(self) -> Iterator[Step]:
        """Enlarge a stack until it carries 10⁸ objects a month."""
        stack, (name, carried) = Stack(), self.first(Stack())
        while carried < _MOST:
            last, last_carried, names = stack, carried, [name]
            stack = self._enlarged(stack, name, last_carried)
            name, carried = self.first(stack)
            while not carried:  # the larger stack does not work without a further setting
                names.append(name)
                stack = self._enlarged(stack, name, last_carried)
                name, carried = self.first(stack)
            yield Step(last, names, last_carried, self.simulate(last, last_carried))
        yield Step(stack, [], _MOST, self.simulate(stack, _MOST))

    def _enlarged(self, stack: Stack, name: str, least: float) -> Stack:
        """Return the stack with the setting that moves a bottleneck; it should carry more."""
        if name == CONNECTIONS:
            choices = [*_larger_machines(stack), _two_stacks(stack)]
            better = [one for one in choices if self.first(one)[1] > least]
            return min(better or choices[-1:], key=Stack.monthly)
        return _enlarged(stack, name)


def _enlarged(stack: Stack, name: str) -> Stack:
    """Return the stack with the setting that moves a bottleneck, where there is one."""
    if name in {CPU, REQUESTS, NETWORK}:
        return replace(stack, machines=_more(stack.machines))
    if name in {LISTER, BUCKET}:
        return replace(stack, pipelines=_more(stack.pipelines))
    if name == DATABASE:
        return replace(stack, database=_next(DATABASES, stack.database))
    return replace(stack, flavor=_next(MACHINES, stack.flavor))


def _larger_machines(stack: Stack) -> Iterator[Stack]:
    """Return stacks with at least as many cores in fewer machines."""
    cores = stack.machines * MACHINES[stack.flavor][0]
    for flavor, (each, _) in MACHINES.items():
        machines = math.ceil(cores / each)
        if machines < stack.machines:
            yield replace(stack, flavor=flavor, machines=machines)


def _two_stacks(stack: Stack) -> Stack:
    """Return twice the stacks, each with half of the machines and pipelines."""
    machines, pipelines = (math.ceil(count / 2) for count in (stack.machines, stack.pipelines))
    return replace(stack, stacks=2 * stack.stacks, machines=machines, pipelines=pipelines)


def _more(count: int) -> int:
    return math.ceil(1.5 * count)


def _next(flavors: Iterable[str], flavor: str) -> str:
    names = list(flavors)
    return names[names.index(flavor) + 1]


def _burst(dice: random.Random, mean: float) -> int:
    """Return a geometrically distributed number, 1 at least."""
    return 1 + int(math.log(1 - dice.random()) / math.log(1 - 1 / mean))


def _poisson(dice: random.Random, mean: float) -> int:
    """Return a Poisson distributed number, by the times between events."""
    count, total = 0, -math.log(1 - dice.random())
    while total < mean:
        count, total = count + 1, total - math.log(1 - dice.random())
    return count


def _quantile(waits: Sequence[tuple[float, float]], share: float) -> float:
    """Return a quantile of sorted (value, weight)."""
    left = share * sum(weight for _, weight in waits)
    for value, weight in waits:
        left -= weight
        if left <= 0:
            return value
    return waits[-1][0] if waits else 0.0


def tables(figures: Mapping[str, Mapping[str, float]]) -> list[Table]:
    """Return a table for each kind of work."""
    measured = Calibration.read(figures)
    works = (
        Work("Photographs of 2 MP (300 KB), `negate`", measured.photo_ms, 0.6),
        Work("300 KB and 80 ms of CPU, as `faces` takes", measured.overhead_ms + 80, 0.35),
    )
    return [_table(Model(measured, work), work) for work in works]


def _table(model: Model, work: Work) -> Table:
    lines = []
    for step in model.steps():
        stack, settings = step.stack, dict.fromkeys(SETTINGS[one] for one in step.bottlenecks)
        lines.append(
            [
                (f"{stack.stacks} stacks of " if stack.stacks > 1 else "")
                + f"{stack.machines} × {stack.flavor}",
                *(stack.database, str(stack.pipelines), _rounded(step.monthly)),
                *(f"{step.day.median:.1f}", f"{step.day.p99:.0f}"),
                ", then ".join(step.bottlenecks) or "–",
                ", then ".join(settings) or "–",
                *(f"{stack.monthly():,.0f}", f"{1e6 * stack.monthly() / step.monthly:,.0f}"),
            ]
        )
    columns = ["machines", "database", "pipelines", "objects a month, up to", "median, s"]
    columns += ["p99, s", "first bottleneck", "setting that moves it", "BU a month"]
    columns += ["BU a million"]
    return Table(f"{work.name}: {work.cpu_ms:.1f} ms of CPU an object.", columns, lines)


def _rounded(count: float) -> str:
    """Return a number with two significant digits."""
    digits = 1 - math.floor(math.log10(count))
    return f"{round(count, digits):,.0f}"


def text(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return what docs/scale.md shows, as Markdown."""
    return "\n\n".join(table.markdown().strip() for table in tables(figures))


if __name__ == "__main__":
    print(text(Measurements(FIGURES).figures()))
