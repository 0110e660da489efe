"""Pipelines on a store and a ledger in memory, and passes over them: without processes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import patience
from worker.errors import PassInterrupted, ServiceUnavailable
from worker.jobs.bucket_pass import Pass
from worker.jobs.context import Context
from worker.jobs.disk import Space
from worker.jobs.drain import readers_of
from worker.jobs.own_listing import OwnListing
from worker.jobs.request_threads import RequestThreads
from worker.jobs.schedule import Schedule
from worker.ledger.ledger import Ledger, Maker
from worker.ledger.memory_ledger import MemoryLedger
from worker.ledger.memory_tables import MemoryTables
from worker.ledger.runs import upstream_of
from worker.settings import Pipeline
from worker.store.memory_store import MemoryStore
from worker.transforms import Produced

NEGATIVES = Pipeline("negatives", "negate", "input", "output", output_key="negated_{name}")
NAMES = (INPUT, OUTPUT, QUARANTINE) = ("input", "output", "quarantine")
ARCHIVE = "archive"
CRASH = b"crash"
GOOD = b"photo"
TICK = timedelta(seconds=1)


class Transforms:
    """Reverses a file; what it does with other contents is up to the test."""

    def __init__(
        self, special: Mapping[bytes, Callable[[], dict[str, Any] | None]] | None = None
    ) -> None:
        self.unenforced: list[str] = []
        self.inputs: list[bytes] = []  # of each job; those of several files are joined by "+"
        self.names: list[list[str]] = []
        self.closed = False
        self._stopped = False
        self._special = dict(special or {})

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        source = sources[0]
        if content is None:
            content = b"+".join(one.read_bytes() for one in sources)
        self.inputs.append(content)
        self.names.append(list(names))
        if self._stopped:
            raise PassInterrupted
        made = self._special[content]() if content in self._special else None
        more = dict(made or {})
        files = []
        for number, result in enumerate(more.pop("results", [content[::-1]])):
            target = source.with_suffix(f".{number}")
            target.write_bytes(result)
            files.append((target, "image/png"))
        return Produced(files, **more)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.closed = True


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def making(**produced: Any) -> Callable[[], dict[str, Any]]:
    """Return what a transform makes: `results`, `records`, `notes`."""
    return lambda: produced


@dataclass
class World:
    """A store with the buckets of a stack, its ledger, and passes over the pipelines.

    Where buckets are versioned, it is those of inputs and outputs.
    """

    folder: Path
    versioned: bool = True
    pipelines: dict[str, Pipeline] = field(default_factory=lambda: {"negatives": NEGATIVES})
    tables: MemoryTables = field(default_factory=MemoryTables)
    store: MemoryStore = field(init=False)
    transforms: Transforms = field(default_factory=Transforms)
    space: Space = Space(1 << 40, 1 << 40)  # noqa: RUF009  frozen
    schedule: Schedule = Schedule(pause=(0.01, 0.01), settle=0)  # noqa: RUF009  frozen

    def __post_init__(self) -> None:
        self._moments = (datetime(2026, 1, 1, tzinfo=UTC) + n * TICK for n in range(10**6))
        self.use(MemoryStore)

    def use(self, kind: Callable[..., MemoryStore], **options: object) -> None:
        """Put another kind of store in place of the empty one."""
        pipelines = self.pipelines.values()
        names = {QUARANTINE, ARCHIVE, *(one.input for one in pipelines)}
        names |= {one.output for one in pipelines}
        versioned = {one.input for one in pipelines}
        versioned |= {one.output for one in pipelines}
        versioned = versioned if self.versioned else set()
        self.store = kind(names, versioned=versioned, clock=self._moments.__next__, **options)

    @property
    def ledger(self) -> MemoryLedger:
        return self.ledger_of("negatives")

    def ledger_of(self, pipeline: str, machine: str = "vm-1") -> MemoryLedger:
        return MemoryLedger(machine, pipeline, self.tables)

    def expire_leases(self) -> None:
        """Let all leases end, as time does."""
        with self.tables.lock:
            for place, (lease, machine, _) in self.tables.leases.items():
                self.tables.leases[place] = (lease, machine, datetime.min.replace(tzinfo=UTC))

    def expire_gathers(self) -> None:
        """Let other machines store the files of runs, as time does."""
        with self.tables.lock:
            for name, row in self.tables.gathers.items():
                past = datetime.min.replace(tzinfo=UTC)
                self.tables.gathers[name] = replace(row, until=past)

    def upload(self, key: str, content: bytes = GOOD) -> str:
        return self.store.upload(INPUT, key, content)

    def run(self, linger: float = 0, threads: int = 2, pipeline: str = "negatives") -> Pass:
        """Make one pass; it returns where nothing failed."""
        one = self.new_pass(threads, pipeline, linger=linger)
        one.run()
        return one

    def run_until(
        self, is_done: Callable[[], bool], threads: int = 2, ledger: Ledger | None = None
    ) -> None:
        """Make a pass that lingers until something holds, which is asked after each heartbeat."""
        context, schedule = self.context(ledger=ledger), replace(self.schedule, heartbeat=0.02)
        source = OwnListing(context, threads, schedule, 60 * patience())
        one = Pass(context, threads, source, is_done)
        one.run()
        assert one.was_outdated, "the condition did not become true"

    def context(
        self, pipeline: str = "negatives", ledger: Ledger | None = None, machine: str = "vm-1"
    ) -> Context:
        settings = self.pipelines[pipeline]
        return Context(
            store=self.store,
            pipeline=settings,
            readers=readers_of(self.pipelines, settings),
            upstream=upstream_of(self.pipelines, pipeline) if settings.gather else None,
            requests=RequestThreads() if settings.gather else None,
            quarantine=QUARANTINE,
            archive=ARCHIVE,
            ledger=ledger or self.ledger_of(pipeline, machine),
            pool=self.transforms,
            maker=Maker("negate", "v1", "p1"),
            output_key=settings.output_key,
            is_versioned=cache(self.store.is_versioned),
            machine=machine,
            folder=self.folder,
            space=lambda: self.space,
        )

    def new_pass(
        self,
        threads: int = 2,
        pipeline: str = "negatives",
        ledger: Ledger | None = None,
        machine: str = "vm-1",
        linger: float = 0,
    ) -> Pass:
        context = self.context(pipeline, ledger, machine)
        return Pass(context, threads, OwnListing(context, threads, self.schedule, linger))

    def run_failing(self, linger: float = 0, pipeline: str = "negatives") -> str:
        """Make one pass that must fail, and return its reason."""
        with pytest.raises(ServiceUnavailable) as caught:
            self.run(linger, pipeline=pipeline)
        return str(caught.value)

    def left(self, pipeline: str = "negatives") -> list[str]:
        return list(self.store.versions(self.pipelines[pipeline].input))

    def outputs(self, pipeline: str = "negatives") -> dict[str, bytes]:
        stored = self.store.versions(self.pipelines[pipeline].output)
        return {key: versions[0].content for key, versions in stored.items()}

    def outcomes(self, pipeline: str = "negatives") -> dict[str, str]:
        results = self.ledger_of(pipeline).results
        return {result.upload.key: result.outcome for result in results}
