"""Random uploads, deletions, faults and two machines: whatever happens, accounting is exact.

Store and ledger are in memory, so that many examples are cheap; a pass is interrupted at one of its
calls to them. Meanwhile others act: a user, or the other machine. `./pipeline test --faults` runs
more examples.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bench.oracle import Oracle, Row, Rules, StoredResult, Uploads
from tests.worker.fleet_world import Fleet, Machine
from tests.worker.world import ARCHIVE, INPUT, OUTPUT, QUARANTINE, Transforms, World
from worker.errors import InvalidInput, ServiceUnavailable, UploadDeferred
from worker.ledger.ledger import Result
from worker.settings import Pipeline
from worker.transforms import Produced

FIRST = Pipeline("first", "random", INPUT, OUTPUT, readers=("second",), keep_inputs=True)
SECOND = Pipeline("second", "random", "input-2", "output-2", sources=("first",), readers=("third",))
THIRD = Pipeline(
    "third",
    "random",
    "input-3",
    "output-3",
    output_key="{run}/{name}",
    sources=("second",),
    gather=True,
)
PIPELINES = {one.name: one for one in (FIRST, SECOND, THIRD)}
# Users put and delete objects in the first two.
NAMES, FILLED, MACHINES = tuple(PIPELINES), (FIRST.name, SECOND.name), ("vm-1", "vm-2")
KEYS = ("a.png", "b/c.png", "d.png")
BAD, LATER_BAD = b"bad", b"dab"  # what the first pipeline refuses, and the second
#: Calls that fail as a whole or not at all, and those whose turn depends on the time.
_NOT_COUNTED = {"list_pages", "heartbeat", "is_versioned", "check_bucket", "unfinished_attempts"}
_OF_OBJECTS = {"get", "head", "put", "copy", "delete_if_unchanged"}
_MOST_ROUNDS = 8
_MOST_SECONDS = 2  # of machines that share work


class Killed(BaseException):
    """The worker was killed."""


class RandomTransforms(Transforms):
    """Reverses a file and adds a number, so that two attempts differ."""

    _numbers = count()  # of all machines

    def run(
        self, sources: Sequence[Path], names: Sequence[str], content: bytes | None = None
    ) -> Produced:
        source, name = sources[0], names[0]
        if content is None:
            content = b"+".join(one.read_bytes() for one in sources)
        if content.startswith(BAD):
            raise InvalidInput("bad")
        target = source.with_suffix(".0")
        target.write_bytes(content[::-1] + b"#%d" % next(self._numbers))
        return Produced([(target, "image/png")], [{"of": name}])


class Interruption:
    """Does something at one call to the store or the ledger, instead of it, before it or after it.

    Args:
        turn: The number of the call, from 1.
        kind: "killed" (all later calls fail, too), "unavailable", "deferred" or "overtaken".
        after: Whether the call is carried out first.
        act: What others do, if the pass is overtaken.
    """

    def __init__(self, turn: int, kind: str, act: Callable[[], None], *, after: bool) -> None:
        self._turn, self._kind, self._act, self._after = turn, kind, act, after
        self._count, self._lock = 0, threading.Lock()

    def over(self, target: Any) -> Any:
        """Return an object with the same methods."""
        interruption = self

        class Interrupted:
            def __getattr__(self, name: str) -> Any:
                attribute = getattr(target, name)
                if not callable(attribute):
                    return attribute
                return lambda *arguments, **options: interruption._call(
                    name, lambda: attribute(*arguments, **options)
                )

        return Interrupted()

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        with self._lock:
            self._count += name not in _NOT_COUNTED
            distance = self._count - self._turn
        if self._kind == "killed" and (distance > 0 or (not distance and not self._after)):
            raise Killed
        if distance or name in _NOT_COUNTED:
            return call()
        if self._kind == "overtaken" and not self._after:
            self._act()
        result = call() if self._after or self._kind == "overtaken" else None
        if self._kind == "killed":
            raise Killed
        if self._kind == "unavailable":
            raise ServiceUnavailable("The service is down.")
        if self._kind == "deferred" and name in _OF_OBJECTS:
            raise UploadDeferred("The object cannot be used.")
        if self._kind == "overtaken" and self._after:
            self._act()
        return result if self._after or self._kind == "overtaken" else call()


class MemoryEvidence:
    """Implements `Evidence`."""

    def __init__(self, world: World) -> None:
        self._world = world
        tables = world.tables
        self.rows: Sequence[Row] = [
            _row(name, one) for (name, _), (*_, one) in tables.results.items()
        ]
        self.prepared: Sequence[Row] = [
            replace(_row(tables.outputs[one.job.id][0], one), is_written=False)
            for one in tables.prepared.values()
        ]
        self.leftovers: Mapping[str, int] = {
            "attempts": len(tables.attempts),
            "prepared": len(tables.prepared),
            "gathers": sum(not row.is_stored for row in tables.gathers.values()),
        }

    def keys(self, bucket: str) -> Sequence[str]:
        stored = self._world.store.versions(bucket)
        return [key for key, versions in stored.items() for _ in versions]

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes | None:
        for one in self._world.store.versions(bucket).get(key, []):
            if version_id in ("", one.version_id):
                return None if one.is_marker else one.content
        return None

    def versions(self, bucket: str) -> Collection[tuple[str, str]]:
        return [
            (key, one.version_id)
            for key, versions in self._world.store.versions(bucket).items()
            for one in versions
            if one.version_id and not one.is_marker
        ]


def _row(pipeline: str, result: Result) -> Row:
    job = result.job
    return Row(
        pipeline,
        job.id,
        job.upload.key,
        job.upload.version_id,
        result.input_sha256,
        result.outcome,
        result.reason,
        (job.parent.job_id, job.parent.number) if job.parent else None,
        job.retry_of,
        [
            StoredResult(one.number, one.bucket, one.key, one.version_id, one.sha256)
            for one in result.outputs
        ],
        job.run_id,
    )


def rejection(content: bytes) -> str | None:
    return "^bad$" if content.startswith(BAD) else None


def is_made_of(results: Sequence[bytes], content: bytes) -> bool:
    return all(result.startswith(content[::-1] + b"#") for result in results)


class Chain(RuleBasedStateMachine):
    """Three pipelines, the last of which gathers, two machines and a user."""

    @initialize(versioned=st.booleans())
    def begin(self, *, versioned: bool) -> None:
        self.folder = TemporaryDirectory()
        self.world = World(Path(self.folder.name), versioned, PIPELINES)
        self.world.transforms = RandomTransforms()
        self.uploads = Uploads()
        self.number = 0
        rules = (rejection, is_made_of)
        first = Rules(FIRST.input, FIRST.output, *rules, {"second": ""}, keeps_inputs=True)
        second = Rules(SECOND.input, SECOND.output, *rules)
        third = Rules(THIRD.input, THIRD.output, *rules, gathers=["second"])
        pipelines = {"first": first, "second": second, "third": third}
        self.clean_pass("third", "vm-1")  # runs that end from now on are gathered
        self.oracle = Oracle(pipelines, QUARANTINE, ARCHIVE, may_lose_leases=not versioned)

    @rule(name=st.sampled_from(FILLED), key=st.sampled_from(KEYS), kind=st.sampled_from("gggbl"))
    def put(self, name: str, key: str, kind: str) -> None:
        self.number += 1
        text = b"%d" % self.number
        content = {"g": b"good " + text, "b": BAD + text, "l": text + LATER_BAD}[kind]
        version_id = self.world.store.upload(self.world.pipelines[name].input, key, content)
        self.uploads.put(name, key, content, version_id)

    @rule(name=st.sampled_from(FILLED), key=st.sampled_from(KEYS))
    def delete(self, name: str, key: str) -> None:
        self.world.store.delete(self.world.pipelines[name].input, key)
        self.uploads.delete(name, key)

    @rule()
    def expire(self) -> None:
        """Let all leases end, as if 30 seconds had passed."""
        self.world.expire_leases()
        self.world.expire_gathers()

    @rule(name=st.sampled_from(NAMES), machine=st.sampled_from(MACHINES))
    def clean_pass(self, name: str, machine: str) -> None:
        with suppress(ServiceUnavailable):  # a copy waits until its key is free
            self.world.new_pass(1, name, machine=machine).run()

    @rule(
        name=st.sampled_from(NAMES),
        turn=st.integers(1, 25),
        kind=st.sampled_from(("killed", "unavailable", "deferred")),
        after=st.booleans(),
    )
    def faulty_pass(self, name: str, turn: int, kind: str, *, after: bool) -> None:
        self._interrupted_pass(name, Interruption(turn, kind, lambda: None, after=after))

    @rule(
        name=st.sampled_from(NAMES),
        turn=st.integers(1, 25),
        after=st.booleans(),
        key=st.sampled_from(KEYS),
        act=st.sampled_from(
            ("other machine", "other machine, leases end", "put", "delete", "put, other machine")
        ),
    )
    def overtaken_pass(self, name: str, turn: int, key: str, act: str, *, after: bool) -> None:
        def overtake() -> None:
            if "leases end" in act:
                self.expire()
            if "put" in act and name in FILLED:
                self.put(name, key, "g")
            if act == "delete" and name in FILLED:
                self.delete(name, key)
            if "other machine" in act:
                self.clean_pass(name, "vm-2")

        self._interrupted_pass(name, Interruption(turn, "overtaken", overtake, after=after))

    def _interrupted_pass(self, name: str, interruption: Interruption) -> None:
        store, ledger = self.world.store, interruption.over(self.world.ledger_of(name))
        self.world.store = interruption.over(store)
        try:
            one = self.world.new_pass(1, name, ledger)
        finally:
            self.world.store = store
        with suppress(Killed, ServiceUnavailable):
            one.run()

    def _interrupted(self, name: str, interruption: Interruption, fleet: Fleet) -> Machine:
        """Start the first machine of a fleet, whose calls are interrupted."""
        store, ledger = self.world.store, interruption.over(self.world.ledger_of(name))
        self.world.store = interruption.over(store)
        try:
            return fleet.start("vm-1", RandomTransforms(), ledger)
        finally:
            self.world.store = store

    @invariant()
    def nothing_is_lost(self) -> None:
        evidence = MemoryEvidence(self.world)
        rows = {(row.pipeline, row.key, row.input_sha256) for row in evidence.rows}
        for one in self.uploads:
            if one.is_certain and (one.pipeline, one.key, one.sha256) not in rows:
                listed = self.world.store.versions(self.world.pipelines[one.pipeline].input)
                assert one.content in [each.content for each in listed.get(one.key, [])]

    def teardown(self) -> None:
        for _ in range(_MOST_ROUNDS):
            self.expire()
            for name in NAMES:
                for machine in MACHINES:
                    self.clean_pass(name, machine)
            if not any(self.world.left(name) for name in NAMES):
                break
        found = self.oracle.problems(self.uploads, MemoryEvidence(self.world))
        self.folder.cleanup()
        assert not found, "\n".join(found)


class SharedChain(Chain):
    """Also two or three machines that share the work, one of which meets a fault."""

    @rule(
        name=st.sampled_from(NAMES),
        turn=st.integers(1, 25),
        kind=st.sampled_from(("none", "killed", "unavailable", "deferred")),
        after=st.booleans(),
        others=st.integers(1, 2),
        keys=st.lists(st.sampled_from(KEYS), max_size=4),
    )
    def shared_pass(
        self, name: str, turn: int, kind: str, others: int, keys: list[str], *, after: bool
    ) -> None:
        interruption = Interruption(turn, kind, lambda: None, after=after)
        expected = (ServiceUnavailable, Killed)
        with Fleet(self.world, name, 1, expected) as fleet:
            self._interrupted(name, interruption, fleet)
            for number in range(others):
                fleet.start(f"vm-{number + 2}", RandomTransforms())
            for number, key in enumerate(keys if name in FILLED else ()):
                if number % 2:
                    self.delete(name, key)
                else:
                    self.put(name, key, "g")
            end = time.monotonic() + _MOST_SECONDS  # copies may wait until a key is free
            while time.monotonic() < end and not (fleet.is_empty and not self.world.left(name)):
                time.sleep(0.01)


@pytest.mark.parametrize("then", ["put", "delete", "delete and put"])
@pytest.mark.parametrize("turn", [8, 9, 10])
@pytest.mark.parametrize("versioned", [True, False])
def test_upload_is_replaced_before_its_row_is_written(
    turn: int, then: str, *, versioned: bool
) -> None:
    """Its results are stored, a reader may have processed its copies: that is no lost upload."""
    chain = Chain()
    chain.begin(versioned=versioned)
    chain.put("first", "a.png", "g")
    chain.faulty_pass("first", turn, "unavailable", after=False)
    if "delete" in then:
        chain.delete("first", "a.png")
    if "put" in then:
        chain.put("first", "a.png", "g")
    chain.teardown()


@pytest.mark.parametrize(
    ("machine", "count_of_all", "number"), [(Chain, 1000, 100), (SharedChain, 100, 15)]
)
def test_accounting_is_exact(
    request: pytest.FixtureRequest, machine: type[Chain], number: int, count_of_all: int
) -> None:
    many = request.config.getoption("--faults")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=count_of_all if many else number,
            stateful_step_count=12,
            derandomize=not many,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
